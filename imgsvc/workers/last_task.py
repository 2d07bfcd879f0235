"""Which task a child is at, in a file of its slot: the server may die with it, and then the next
one asks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from imgsvc.domain.rendering import RenderTask

_MOST_BYTES = 255
"""A file has no longer name."""


class LastTask:
    """Written by the child. Where the disk has no place for it, nobody will know."""

    def __init__(self, path: Path) -> None:
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def note(self, task: RenderTask) -> None:
        """It begins; that it ends is seen by its input, which is removed."""
        if self._file is not None:
            name = os.fsencode(os.path.basename(task.input_path))  # noqa: PTH119 - a Path costs more than the call
            with suppress(OSError):
                os.pwrite(self._file, name.ljust(_MOST_BYTES), 0)


def find_held(slots: Path) -> list[str]:
    """The tasks that children in the folders below `slots` were at when the server died, each as
    `<job>-<index>-<claim>`. Nothing here is followed or believed beyond that: a hijacked child
    may have left anything.
    """
    inputs = {path.name for path in slots.glob("*.in/*.input")}
    held = inputs.intersection(_read_names(slots))
    return [name.rpartition("-")[0] for name in held]


def _read_names(slots: Path) -> Iterator[str]:
    for path in slots.glob("*/process-*.task"):
        with suppress(OSError):
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                yield os.fsdecode(os.read(file, _MOST_BYTES).rstrip())
            finally:
                os.close(file)
