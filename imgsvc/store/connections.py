"""Connections to the database, its pragmas, and what its errors mean."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import aiosqlite

from imgsvc.errors import ImgsvcError, Internal, StartError, StorageFull

_OLDEST_SQLITE = (3, 38, 0)
"""The first with STRICT, RETURNING, MATERIALIZED and ->> all together."""

_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
"""A full disk; the second is how it shows when the WAL's index cannot grow."""

_WAL_LIMIT_BYTES = 64 << 20
"""A WAL that one large commit has blown up is cut back to this at the next checkpoint."""


async def open_writer(path: Path) -> aiosqlite.Connection:
    """The one connection that writes and makes checkpoints. Raises StartError."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StartError(f"SQLite 3.38 or later is needed, not {sqlite3.sqlite_version}")
    connection = None
    try:
        connection = await _connect(path)
        await connection.execute_fetchall("PRAGMA journal_mode = WAL")
        await connection.execute_fetchall("PRAGMA synchronous = FULL")
        await connection.execute_fetchall("PRAGMA foreign_keys = ON")
        await connection.execute_fetchall(f"PRAGMA journal_size_limit = {_WAL_LIMIT_BYTES}")
    except sqlite3.Error as exc:
        if connection is not None:
            await connection.close()
        raise StartError(f"The database {path} cannot be opened: {exc}") from exc
    return connection


async def open_reader(path: Path) -> aiosqlite.Connection:
    """A connection that can only read, and never makes a checkpoint."""
    connection = await _connect(path)
    await connection.execute_fetchall("PRAGMA query_only = ON")
    await connection.execute_fetchall("PRAGMA wal_autocheckpoint = 0")
    return connection


def copy_database(source: Path, target: Path) -> None:
    """Blocking: a copy as of one moment, while others read and write. Raises sqlite3.Error."""
    uri = f"file:{quote(str(source))}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True)) as reader,
        closing(sqlite3.connect(target)) as copy,
    ):
        reader.execute("PRAGMA wal_autocheckpoint = 0")
        reader.backup(copy)


async def _connect(path: Path) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def translate_error(exc: sqlite3.Error) -> ImgsvcError:
    """What a driver's error is called here."""
    if getattr(exc, "sqlite_errorcode", None) in _FULL:
        return StorageFull("There is not enough free disk space for the database")
    return Internal("The database refused an operation")
