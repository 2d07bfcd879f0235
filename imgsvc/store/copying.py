"""Copies of the whole database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from imgsvc.store.sql import DEADLINES


def copy_database(source: Path, target: Path) -> None:
    """A copy as of one moment, while others read and write. Blocking. Raises sqlite3.Error."""
    uri = f"file:{quote(str(source))}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True)) as reader,
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
