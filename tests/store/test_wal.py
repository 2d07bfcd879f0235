"""A log in use is believed to be spoiled only when somebody else has done something to it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from imgsvc.store import wal
from imgsvc.store.store import Store
from imgsvc.store.wal import FRAME_HEADER_BYTES, OpenLog
from tests.store.builders import create

_LIMIT_BYTES = 1 << 16
_INDEX_HEADERS_BYTES = 2 * 48
"""Two copies of what says how many frames count."""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(_connect(tmp_path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (b)")
        yield connection


@pytest.fixture
def log(connection: sqlite3.Connection, tmp_path: Path) -> Iterator[int]:
    """Its descriptor."""
    with (tmp_path / "a.db-wal").open("r+b", buffering=0) as file:
        yield file.fileno()


def _connect(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "a.db", isolation_level=None)


def _size(log: int) -> int:
    return os.fstat(log).st_size


def _fill(connection: sqlite3.Connection, rows: int) -> None:
    for _ in range(rows):
        connection.execute("INSERT INTO t VALUES (zeroblob(4096))")


def test_sqlite_itself_may_cut_a_large_log_back(connection: sqlite3.Connection, log: int) -> None:
    connection.execute(f"PRAGMA journal_size_limit = {_LIMIT_BYTES}")
    connection.execute("PRAGMA cache_size = 10")  # more is written before the commit
    opened = OpenLog(log)
    connection.execute("BEGIN")
    _fill(connection, 100)
    connection.execute("COMMIT")
    large_bytes = _size(log)
    assert not opened.is_spoiled()
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    connection.execute("BEGIN")
    _fill(connection, 30)
    assert _size(log) == large_bytes
    assert not opened.is_spoiled()
    connection.execute("COMMIT")
    assert _size(log) < large_bytes
    assert not opened.is_spoiled()
    os.truncate(log, _LIMIT_BYTES // 2)
    assert opened.is_spoiled()


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_another_program_may_cut_it_back_further(
    connection: sqlite3.Connection, log: int, tmp_path: Path, end: str
) -> None:
    """Although it begins the log anew, and is looked at, long before that."""
    with closing(_connect(tmp_path)) as other:
        other.execute("PRAGMA journal_size_limit = 0")
        other.execute("PRAGMA cache_size = 10")  # more is written before the commit
        opened = OpenLog(log)
        _fill(connection, 100)
        assert not opened.is_spoiled()
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        other.execute("BEGIN")
        _fill(other, 50)
        large_bytes = _size(log)
        assert not opened.is_spoiled()
        other.execute(end)
        _fill(other, 1)
        assert _size(log) < large_bytes
        assert not opened.is_spoiled()
        os.truncate(log, _size(log) // 2)
        assert opened.is_spoiled()


def test_a_log_that_a_checkpoint_empties_while_it_is_looked_at_is_sound(
    connection: sqlite3.Connection, log: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = OpenLog(log)
    assert not opened.is_spoiled()
    read = os.pread

    def empty_before_frame(fd: int, size: int, at: int) -> bytes:
        if at:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return read(fd, size, at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", empty_before_frame)
        assert not opened.is_spoiled()
    _fill(connection, 1)
    assert not opened.is_spoiled()


def test_what_a_program_wrote_that_was_killed_before_its_commit_counted_is_overwritten(
    connection: sqlite3.Connection, log: int
) -> None:
    opened = OpenLog(log)
    _fill(connection, 1)
    assert not opened.is_spoiled()
    last_at = _size(log) - FRAME_HEADER_BYTES - 4096
    os.pwrite(log, bytes(4), last_at + 4)  # a frame that ends no commit
    assert not opened.is_spoiled()
    os.pwrite(log, bytes(FRAME_HEADER_BYTES), last_at)
    assert opened.is_spoiled()


def test_a_log_that_a_killed_program_began_anew_may_be_begun_so_once_more(
    connection: sqlite3.Connection, log: int, tmp_path: Path
) -> None:
    """By a transaction with fewer pages, of a program that cuts off what is behind it."""
    with (
        closing(_connect(tmp_path)) as killed,
        closing(_connect(tmp_path)) as other,
        (tmp_path / "a.db-shm").open("r+b", buffering=0) as index,
    ):
        other.execute("PRAGMA journal_size_limit = 0")
        killed.execute("PRAGMA cache_size = 10")  # the log is begun anew before the commit
        for _ in range(2):  # who has begun a log anew before keeps the salt that he finds
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            _fill(other, 1)
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        opened = OpenLog(log)
        killed.execute("BEGIN")
        _fill(killed, 50)
        before = os.pread(index.fileno(), _INDEX_HEADERS_BYTES, 0)
        killed.execute("COMMIT")
        os.pwrite(index.fileno(), before, 0)  # its commit does not count yet
        killed.close()
        salt = os.pread(log, 8, 16)
        assert not opened.is_spoiled()
        _fill(other, 1)
        assert os.pread(log, 8, 16) == salt
        assert not opened.is_spoiled()
        os.truncate(log, 100)
        assert opened.is_spoiled()


def _cut_power(database: Path, folder: Path) -> Path:
    """What is left then of a database in use: it, with a log that ends in zeros."""
    folder.mkdir()
    left = folder / database.name
    shutil.copy(database, left)
    log = wal.beside(left, "-wal")
    shutil.copy(wal.beside(database, "-wal"), log)
    os.truncate(log, log.stat().st_size + 100 * (FRAME_HEADER_BYTES + 4096))
    return left


async def test_zeros_that_a_power_cut_left_behind_a_log_are_nobodys_deed(
    database: Path, tmp_path: Path
) -> None:
    store = await Store.open(database)
    job = await create(store, 1)
    left = await asyncio.to_thread(_cut_power, database, tmp_path / "left")
    await store.close()
    store = await Store.open(left)
    await create(store, 1)
    await create(store, 1)
    assert (await store.job(job.id)).total == 1
    assert not store.has_broken_down
    await store.close()
