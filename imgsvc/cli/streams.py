"""What becomes of a command when stdout or stderr cannot be written, as on a full disk."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from imgsvc.cli import exits

LAST_STREAM = 2
"""The file descriptor of stderr; before it stand those of stdin and stdout."""


class OutputLost(click.ClickException):
    """Who wanted the output does not have it."""

    exit_code = exits.WRONG


def guard_streams() -> None:
    """From now on a command ends with OutputLost when stdout cannot be written, quietly when that
    is a pipe which its reader has closed, and goes on when stderr cannot. None of it is an OSError,
    which whoever writes files would take for a trouble of theirs; but a closed pipe for stderr is.
    What the command was not given at all takes everything, of its worker processes too: what they
    open must not come to stand in its place.
    """
    while (null := os.open(os.devnull, os.O_RDWR)) <= LAST_STREAM:
        os.set_inheritable(null, True)
    os.close(null)
    for name, ends in (("stdout", True), ("stderr", False)):
        stream = getattr(sys, name) or _open_null()
        setattr(sys, name, _Guarded(stream, _Guard(ends=ends)))


def _open_null() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8", errors="replace")  # noqa: PTH123


class _Guard:
    """ends: whether a trouble is raised; then nothing is tried any more, at the exit neither."""

    def __init__(self, *, ends: bool) -> None:
        self._ends = ends
        self.is_lost = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            is_closed = exc.errno == errno.EPIPE
            self.is_lost = self._ends or is_closed
            if is_closed and self._ends:
                raise click.exceptions.Exit(1) from exc  # the code that click has for it
            if is_closed:
                raise
            if self._ends:
                reason = exc.strerror or "it is closed"
                raise OutputLost(f"The output cannot be written: {reason}.") from exc


class _Guarded:
    """A stream of text, or the bytes under it."""

    def __init__(self, stream: Any, guard: _Guard) -> None:
        self._stream = stream
        self._guard = guard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def buffer(self) -> _Guarded:
        """Where click writes when the encoding is ASCII."""
        return _Guarded(self._stream.buffer, self._guard)

    def write(self, data: str | bytes) -> int:
        with self._guard.watching():
            self._stream.write(data)
        return len(data)

    def flush(self) -> None:
        if not self._guard.is_lost:
            with self._guard.watching():
                self._stream.flush()
