"""Who else has a database or its folder open: said when it is locked."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def find_holders(path: Path) -> list[str]:
    """`name (pid 123)` of the other processes that have the file open, if /proc tells. Blocking."""
    wanted = str(path.resolve())
    return [
        f"{_name(process)} (pid {process.name})"
        for process in Path("/proc").glob("[0-9]*")
        if process.name != str(os.getpid()) and wanted in _open_files(process)
    ]


def _open_files(process: Path) -> set[str]:
    """None when the process is another user's."""
    links = set()
    with suppress(OSError):
        for fd in (process / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                links.add(str(fd.readlink()))
    return links


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a process"
