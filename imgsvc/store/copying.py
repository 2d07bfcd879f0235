"""Copies of the whole database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote


def copy_database(source: Path, target: Path) -> None:
    """A copy as of one moment, while others read and write. Blocking. Raises sqlite3.Error."""
    uri = f"file:{quote(str(source))}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True)) as reader,
        closing(sqlite3.connect(target)) as copy,
    ):
        reader.execute("PRAGMA wal_autocheckpoint = 0")
        reader.backup(copy)
