"""A database that breaks while it is in use: nothing more is written, and nothing wrong is read."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from imgsvc.errors import DatabaseBroken, ShuttingDown, StartError, StorageFull
from imgsvc.store.store import Store
from tests.store.builders import create, new_images, new_job


async def _damaged_store(database: Path) -> tuple[Store, str]:
    """An open store, in whose file the table of images is overwritten; and its job's id."""
    store = await Store.open(database)
    job = await create(store, 400)
    await store.shrink_wal()
    rows = await store._readers.fetch(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'images'", {}
    )
    with database.open("r+b") as file:
        file.seek((rows[0][0] - 1) * 4096)
        file.write(b"\xff" * 4096)
    for connection in (store._connection, *store._readers._connections):
        await connection.execute_fetchall("PRAGMA shrink_memory")
    return store, job.id


async def test_damage_that_a_read_meets_ends_all_reading_and_writing(database: Path) -> None:
    store, job_id = await _damaged_store(database)
    watching = asyncio.create_task(store.watch())
    with capture_logs() as logs, pytest.raises(ShuttingDown) as refused:
        await store.images(job_id, limit=10)
    with pytest.raises(DatabaseBroken, match="malformed"):
        await watching
    assert store.has_broken_down
    assert [log["event"] for log in logs] == ["database_broken"]
    assert "malformed" in logs[0]["reason"]
    assert "server" not in str(logs) + refused.value.message  # a run has none
    with pytest.raises(ShuttingDown):
        await store.job(job_id)
    with pytest.raises(ShuttingDown):
        await store.ping_writable()
    with pytest.raises(ShuttingDown):
        await store.shrink_wal()
    with pytest.raises(ShuttingDown):
        await store.copy_to(database.with_name("copy.db"))
    await store.close()


async def test_damage_that_a_write_meets_loses_nobody_an_answer_and_writes_no_more(
    database: Path,
) -> None:
    store, job_id = await _damaged_store(database)
    results = await asyncio.gather(
        store.create_job(new_job(), [], 1_000),
        store.cancel_job(job_id, 2_000),
        store.create_job(new_job(), new_images(3), 1_000),
        store.close_job(job_id, 2_000),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [ShuttingDown] * 4
    before = {part: database.with_name(f"imgsvc.db{part}").read_bytes() for part in ("", "-wal")}
    await store.close()
    after = {part: database.with_name(f"imgsvc.db{part}").read_bytes() for part in ("", "-wal")}
    assert after == before
    with pytest.raises(StartError, match="is damaged"):
        await Store.open(database)


def _cut_to(part: float) -> Callable[[Path], None]:
    return lambda log: os.truncate(log, int(log.stat().st_size * part))


def _overwrite(log: Path) -> None:
    with log.open("r+b") as file:
        file.write(b"\xff" * 9_000)


@pytest.mark.parametrize("spoil", [_cut_to(0), _cut_to(0.5), _overwrite])
async def test_of_a_log_that_was_cut_off_nothing_comes_into_the_database(
    database: Path, spoil: Callable[[Path], None]
) -> None:
    store = await Store.open(database)
    await store.shrink_wal()
    for _ in range(3):
        await create(store, 2)
    log, before = database.with_name("imgsvc.db-wal"), database.read_bytes()
    spoil(log)
    with capture_logs() as logs, pytest.raises(ShuttingDown):
        await create(store, 1)
    assert store.has_broken_down
    assert logs[0]["event"] == "database_broken"
    assert f"{log} was cut off" in logs[0]["reason"]
    await store.close()
    assert database.read_bytes() == before
    with pytest.raises(StartError):
        await Store.open(database)


async def test_a_log_that_cannot_be_looked_at_has_nothing_committed_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("imgsvc.store.database_files.os.pread", fail)
        await asyncio.gather(create(store, 1), create(store, 1))
    assert not store.has_broken_down
    assert len(await store.jobs_with_pending()) == 2


async def test_a_copy_of_a_damaged_database_is_not_given_out(database: Path) -> None:
    store, _ = await _damaged_store(database)
    with pytest.raises(ShuttingDown):
        await store.copy_to(database.with_name("copy.db"))
    assert store.has_broken_down
    await store.close()


class _Failing:
    """A connection whose disk fails at one statement."""

    def __init__(self, connection: object, at: str, code: int) -> None:
        self._connection = connection
        self._at = at
        self._code = code
        self.statements: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    async def executescript(self, sql: str) -> None:
        for statement in sql.rstrip(";").split("; "):
            await self.execute_fetchall(statement)

    async def execute_fetchall(self, sql: str, parameters: object = ()) -> object:
        self.statements.append(sql)
        if sql.startswith(self._at):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._code
            raise error
        return await self._connection.execute_fetchall(sql, parameters)  # type: ignore[attr-defined]


@pytest.mark.parametrize("at", ["BEGIN", "UPDATE write_probe", "COMMIT"])
async def test_after_a_disk_error_nothing_is_written_although_it_might_go_well_again(
    store: Store, at: str
) -> None:
    """What a sync that failed has left on the disk nobody knows, so nothing may follow it."""
    failing = _Failing(store._connection, at, sqlite3.SQLITE_IOERR_FSYNC)
    store._writer._connection = failing  # type: ignore[assignment]
    results = await asyncio.gather(
        store.ping_writable(), store.create_job(new_job(), [], 1_000), return_exceptions=True
    )
    assert [type(result) for result in results] == [ShuttingDown] * 2
    assert failing.statements.count("BEGIN IMMEDIATE") == 1
    store._writer._connection = store._connection
    with pytest.raises(ShuttingDown):
        await store.ping_writable()


async def test_a_transaction_that_cannot_be_rolled_back_is_never_committed(store: Store) -> None:
    failing = _Failing(store._connection, "ROLLBACK", sqlite3.SQLITE_IOERR_WRITE)
    store._writer._connection = failing  # type: ignore[assignment]
    job = new_job()
    await store.create_job(job, [], 1_000)
    with pytest.raises(ShuttingDown):  # doubled, and then not rolled back
        await store.create_job(job, [], 1_000)
    store._writer._connection = store._connection
    with pytest.raises(ShuttingDown):
        await store.ping_writable()


async def test_a_full_disk_fails_only_those_who_find_no_room(store: Store) -> None:
    rows = list(await store._connection.execute_fetchall("PRAGMA page_count"))
    await store._connection.execute_fetchall(f"PRAGMA max_page_count = {rows[0][0] + 10}")
    results = await asyncio.gather(
        store.ping_writable(),
        store.create_job(new_job(), new_images(2_000), 1_000),
        store.create_job(new_job(), new_images(1), 1_000),
        return_exceptions=True,
    )
    assert results[0] is None
    assert isinstance(results[1], StorageFull)
    assert not isinstance(results[2], BaseException)
    assert not store.has_broken_down


async def test_while_another_program_writes_the_writer_waits(store: Store, database: Path) -> None:
    with (
        capture_logs() as logs,
        closing(sqlite3.connect(database, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.create_job(new_job(), [], 1_000))
        while not logs:  # noqa: ASYNC110 - only the log tells
            await asyncio.sleep(0)
        assert logs[0]["event"] == "database_locked"
        assert not waiting.done()
        assert (await store.jobs(limit=1))[0] == []
        other.execute("ROLLBACK")
    job = await waiting
    assert await store.job(job.id) == job


async def test_who_waits_for_another_program_is_answered_when_the_store_is_closed(
    database: Path,
) -> None:
    store = await Store.open(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.ping_writable())
        await asyncio.sleep(0)
        await store.close()
        with pytest.raises(ShuttingDown):
            await waiting


async def test_a_writer_that_dies_is_told_of(store: Store) -> None:
    async def die() -> None:
        raise ZeroDivisionError

    store._writer.run_once = die  # type: ignore[method-assign]
    watching = asyncio.create_task(store.watch())
    doomed = asyncio.create_task(store.ping_writable())
    with pytest.raises(ZeroDivisionError):
        await watching
    doomed.cancel()
    store._task = asyncio.create_task(asyncio.sleep(0))


async def _create_beside(store: Store) -> None:
    """In tasks of its own, as webhooks and watched folders have them."""
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(create(store, 1))


async def test_tasks_that_a_broken_database_refused_do_not_hide_it_and_other_troubles_stay(
    database: Path,
) -> None:
    store = await Store.open(database)
    store._breakdown.note("spoiled")
    with pytest.raises(ExceptionGroup) as caught:
        await _create_beside(store)
    await store.close()
    assert isinstance(store.explain_end(caught.value), DatabaseBroken)
    both = ExceptionGroup("both", [caught.value, ValueError("another")])
    assert store.explain_end(both) is both
