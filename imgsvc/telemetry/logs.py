"""Structured logs on stderr: one line per event, readable on a terminal, JSON otherwise.

Whatever is bound with `structlog.contextvars` (request id, job id) stands in every line
of that context.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

Logger = structlog.stdlib.BoundLogger


def configure_logs(
    level: str = "info", format_: str = "auto", stream: TextIO | None = None
) -> None:
    """Route our logs and those of libraries to `stream` (default stderr) in one form.

    level: debug | info | warning | error. format_: auto | console | json.
    """
    stream = stream or sys.stderr
    console = format_ == "console" or (format_ == "auto" and stream.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[Any] = (
        [_console_renderer(colors=stream.isatty())]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("watchfiles").setLevel(max(root.level, logging.WARNING))  # a line a change
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> Logger:
    logger: Logger = structlog.get_logger(name)
    return logger


def _console_renderer(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    """Texts of workers and clients are spelled out: a terminal would obey what is in them.
    Tracebacks stay plain: a rich one shows local variables, secrets among them.
    """
    return structlog.dev.ConsoleRenderer(
        colors=colors,
        pad_event_to=28,
        repr_native_str=True,
        exception_formatter=structlog.dev.plain_traceback,
    )
