"""What stands in the log was said by others, too."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from imgsvc.telemetry.logs import configure_logs, get_logger


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root, known = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    watchfiles = logging.getLogger("watchfiles")
    level_of_watchfiles = watchfiles.level
    yield
    watchfiles.setLevel(level_of_watchfiles)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**known)


@pytest.mark.parametrize("format_", ["console", "json"])
def test_what_a_worker_says_does_nothing_to_the_terminal(format_: str) -> None:
    stream = io.StringIO()
    configure_logs(level="info", format_=format_, stream=stream)
    get_logger("test").warning("worker_died", stderr="\x1b]0;title\x07")
    assert "worker_died" in stream.getvalue()
    assert "title" in stream.getvalue()
    assert stream.getvalue().rstrip("\n").isprintable()


@pytest.mark.parametrize("level", ["debug", "info", "error"])
def test_each_change_in_a_watched_folder_is_no_line(level: str) -> None:
    stream = io.StringIO()
    configure_logs(level=level, format_="json", stream=stream)
    logging.getLogger("watchfiles.main").info("1 change detected")
    assert stream.getvalue() == ""
