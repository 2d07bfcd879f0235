"""New databases, and copies of a whole one."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from imgsvc.store.sql import DEADLINES
from imgsvc.store.uris import database_uri


def make_private(path: Path) -> None:
    """A new database that holds nothing yet, and is no business of others; SQLite gives its log
    the same mode. One that is there stays as it is. Blocking.
    """
    with suppress(OSError):  # SQLite will say so
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o640))


def copy_database(source: Path, target: Path) -> None:
    """A copy as of one moment, while others read and write. Blocking. Raises sqlite3.Error."""
    make_private(target)
    with (
        closing(sqlite3.connect(database_uri(source, "ro"), uri=True)) as reader,
        closing(sqlite3.connect(target)) as copy,
    ):
        reader.execute("PRAGMA wal_autocheckpoint = 0")
        reader.backup(copy)


def postpone_deadlines(copy: Path) -> None:
    """Whenever a server starts on the copy, jobs are kept, and stay open, for their whole time
    from then. Blocking. Raises sqlite3.Error.
    """
    with closing(sqlite3.connect(copy)) as connection, connection:
        for name in ("postpone_expiries", "postpone_appends"):
            connection.execute(DEADLINES[name])
