"""Whether there is room on the disk under the database.

SQLite tells a disk that is full from one that fails, but not a quota that is used up: it looks
for ENOSPC, and any other error of a write is SQLITE_IOERR_WRITE (`unixWrite` in its os_unix.c).
The error's number, which would tell, does not come through to Python.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path

from imgsvc.files.errnos import is_disk_full

_TAKEN_BYTES = 1 << 20
"""Much more than a single write of SQLite; whoever finds so much has met another trouble."""


_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
"""A full disk; the second is how it shows when the WAL's index cannot grow."""


def is_full(exc: sqlite3.Error) -> bool:
    """Whether SQLite itself says so."""
    return getattr(exc, "sqlite_errorcode", None) in _FULL


def may_want_room(exc: sqlite3.Error) -> bool:
    """Whether a quota may be behind it; nothing was written then, and nothing has to be synced."""
    return getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_WRITE


def find_obstacle(folder: Path) -> OSError | None:
    """What keeps a file from growing there, tried with one that nobody sees. Blocking."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, _TAKEN_BYTES)
    except OSError as exc:
        return exc
    return None


def wants_room(exc: sqlite3.Error, folder: Path) -> bool:
    """Whether a full disk or a quota is behind it, as far as can be found out. Blocking."""
    obstacle = find_obstacle(folder) if may_want_room(exc) else None
    return is_full(exc) or (obstacle is not None and is_disk_full(obstacle))
