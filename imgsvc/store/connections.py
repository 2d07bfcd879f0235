"""Connections to the database, its pragmas, and what its errors mean."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import aiosqlite

from imgsvc.errors import ImgsvcError, Internal, StartError, StorageFull
from imgsvc.store import wal
from imgsvc.store.copying import make_private
from imgsvc.store.examination import explain, has_log
from imgsvc.store.room import is_full, wants_room
from imgsvc.store.schema import migrate
from imgsvc.store.sql import JOBS
from imgsvc.store.uris import database_uri

_OLDEST_SQLITE = (3, 38, 0)
"""The first with STRICT, RETURNING, MATERIALIZED and ->> all together."""

_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR})
"""After these nothing that is read can be trusted, and nothing that was written: after a sync
that failed once, a later one that succeeds says nothing of what the first was to keep."""

_SIZE = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
"""Of the database with what stands in its log, in bytes."""

_OPEN_S = 5.0
"""How long a start waits for another program to let go of the database."""


async def open_writer(path: Path) -> aiosqlite.Connection:
    """The one connection that writes and makes checkpoints, on a schema that is up to date and
    proved to be writable. Raises StartError.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StartError(f"SQLite 3.38 or later is needed, not {sqlite3.sqlite_version}")
    connection = None
    await asyncio.to_thread(make_private, path)
    try:
        connection = await _connect(path, "rwc")
        await connection.execute_fetchall("PRAGMA journal_mode = WAL")
        await connection.execute_fetchall("PRAGMA synchronous = FULL")
        await connection.execute_fetchall("PRAGMA foreign_keys = ON")
        await connection.execute_fetchall(f"PRAGMA journal_size_limit = {wal.LIMIT_BYTES}")
        await _empty_log(connection, path)
        await migrate(connection, path)
        await connection.execute_fetchall(JOBS["probe_write"])
        # From now on the writer waits by itself, and says so.
        await connection.execute_fetchall("PRAGMA busy_timeout = 0")
    except BaseException as exc:
        if connection is not None:
            await connection.close()
        if isinstance(exc, sqlite3.Error):
            raise await asyncio.to_thread(explain, path, exc) from exc
        raise
    return connection


async def _empty_log(connection: aiosqlite.Connection, path: Path) -> None:
    """Save what a server that was killed left in the log, so that it is written from its beginning
    again: behind its end a full disk has no space, and every start takes some.

    Not where the database finds too little to grow: what it took would be gone, and nothing won.
    Raises sqlite3.Error.
    """
    ((size_bytes,),) = await connection.execute_fetchall(_SIZE)
    if not await asyncio.to_thread(_may_grow, path, size_bytes):
        return
    try:
        await connection.execute_fetchall("PRAGMA wal_checkpoint")
    except sqlite3.Error as exc:
        if not await asyncio.to_thread(wants_room, exc, path.parent):
            raise


def _may_grow(path: Path, size_bytes: int) -> bool:
    """Whether there is so much free disk space, as far as can be found out. Blocking."""
    return size_bytes - path.stat().st_size <= shutil.disk_usage(path.parent).free


async def open_reader(path: Path) -> aiosqlite.Connection:
    """A connection that can only read, and makes no checkpoint, not even when it is the last that
    is closed; where there was no log it leaves none (see `open_untouched`).
    """
    connection = await _connect(path, "ro" if await asyncio.to_thread(has_log, path) else "rw")
    try:
        await connection.execute_fetchall("PRAGMA query_only = ON")
        await connection.execute_fetchall("PRAGMA user_version")  # only now does it share the log
    except BaseException:
        await connection.close()  # no process ends while the thread of a connection waits
        raise
    return connection


async def _connect(path: Path, mode: str) -> aiosqlite.Connection:
    """mode: as in SQLite's URIs."""
    uri = database_uri(path, mode)
    connection = await aiosqlite.connect(uri, uri=True, isolation_level=None, timeout=_OPEN_S)
    connection.row_factory = sqlite3.Row
    return connection


def is_busy(exc: sqlite3.Error) -> bool:
    """Whether another program has the database locked."""
    return _primary(exc) == sqlite3.SQLITE_BUSY


def is_broken(exc: sqlite3.Error) -> bool:
    """Whether the database, or the disk under it, is damaged."""
    return _primary(exc) in _BROKEN and not is_full(exc)


def translate_error(exc: sqlite3.Error) -> ImgsvcError:
    """What a driver's error is called here."""
    if is_full(exc):
        return no_room()
    return Internal("The database refused an operation")


def no_room() -> StorageFull:
    return StorageFull("There is not enough free disk space for the database.")


def _primary(exc: sqlite3.Error) -> int:
    """Without what distinguishes kinds of one error (https://www.sqlite.org/rescode.html)."""
    code: int = getattr(exc, "sqlite_errorcode", 0)
    return code & 0xFF
