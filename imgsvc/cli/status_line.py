"""One line on a terminal that says how things stand, below whatever else is said."""

from __future__ import annotations

import shutil
import sys
import threading

import click

from imgsvc.domain.names import without_controls

_CLEAR = "\r\x1b[2K"


class StatusLine:
    """On stderr; nothing where that is no terminal. Its methods may be called in threads."""

    def __init__(self) -> None:
        self._text = ""
        self._turn = threading.Lock()
        self.is_shown = sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Take the place of what was shown."""
        if self.is_shown and text != self._text:
            with self._turn:
                self._text = text
                self._draw()

    def say(self, message: str) -> None:
        """A line to stderr that stays."""
        self._put(without_controls(message), err=True)

    def put(self, data: str) -> None:
        """A line to stdout."""
        self._put(data, err=False)

    def close(self) -> None:
        """Leave nothing of it."""
        self.show("")

    def _put(self, text: str, *, err: bool) -> None:
        with self._turn:
            if self._text:
                click.echo(_CLEAR, err=True, nl=False, color=True)
            click.echo(text, err=err)
            if self._text:
                self._draw()

    def _draw(self) -> None:
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"{_CLEAR}{self._text[:width]}", err=True, nl=False, color=True)
