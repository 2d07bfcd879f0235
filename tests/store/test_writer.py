from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiosqlite
import pytest
from structlog.testing import capture_logs

from imgsvc.domain.ids import new_id
from imgsvc.domain.job import JobChange
from imgsvc.errors import Internal, NotFound, ShuttingDown, StorageFull
from imgsvc.store.connections import open_writer
from imgsvc.store.store import Store
from imgsvc.store.writer import Transaction, Writer
from tests.store.builders import create, new_images, new_job


@pytest.fixture
async def connection(database: Path) -> AsyncIterator[aiosqlite.Connection]:
    connection = await open_writer(database)
    await connection.execute_fetchall("CREATE TABLE notes (note TEXT NOT NULL UNIQUE)")
    yield connection
    await connection.close()


@pytest.fixture
def writer(connection: aiosqlite.Connection) -> Writer:
    """A writer whose loop does not run: tests call run_once()."""
    return Writer(connection)


async def note(tx: Transaction, text: str | None) -> str | None:
    await tx.fetch("INSERT INTO notes VALUES (:text)", {"text": text})
    return text


async def notes(connection: aiosqlite.Connection) -> list[str]:
    return [row[0] for row in await connection.execute_fetchall("SELECT note FROM notes")]


async def queue(writer: Writer, *texts: str | None) -> list[asyncio.Task[str | None]]:
    tasks = [asyncio.create_task(writer.apply(note, text)) for text in texts]
    for _ in tasks:
        await asyncio.sleep(0)  # lets every task put its operation in the queue
    return tasks


async def test_what_has_gathered_is_committed_together(
    writer: Writer, connection: aiosqlite.Connection
) -> None:
    tasks = await queue(writer, "a", "b", "c")
    await writer.run_once()
    assert writer.commits == 1
    assert writer.effort.operations == 3
    assert writer.effort.seconds > 0
    assert await asyncio.gather(*tasks) == ["a", "b", "c"]
    assert await notes(connection) == ["a", "b", "c"]


async def test_only_the_guilty_one_of_a_group_fails(
    writer: Writer, connection: aiosqlite.Connection
) -> None:
    tasks = await queue(writer, "a", None, "b", "a")
    await writer.run_once()
    good, null, other, twice = await asyncio.gather(*tasks, return_exceptions=True)
    assert (good, other) == ("a", "b")
    assert isinstance(null, Internal)
    assert isinstance(null.__cause__, sqlite3.IntegrityError)
    assert isinstance(twice, Internal)
    assert await notes(connection) == ["a", "b"]


async def test_those_of_one_operation_that_stand_together_are_carried_out_together(
    writer: Writer, connection: aiosqlite.Connection
) -> None:
    runs: list[list[str | None]] = []

    async def note_all(tx: Transaction, texts: Sequence[str | None]) -> list[str | None]:
        runs.append(list(texts))
        return [await note(tx, text) for text in texts]

    def each(*texts: str | None) -> list[Coroutine[None, None, str | None]]:
        return [writer.apply_each(note_all, text) for text in texts]

    async def carry_out(*calls: Coroutine[None, None, str | None]) -> list[object]:
        runs.clear()
        tasks = [asyncio.create_task(call) for call in calls]
        await asyncio.sleep(0)  # every one has put its operation in the queue
        tasks[0].cancel()
        await asyncio.sleep(0)
        await writer.run_once()
        return list(await asyncio.gather(*tasks[1:], return_exceptions=True))

    calls = [*each("left", "a", "b"), writer.apply(note, "c"), *each("d")]
    assert await carry_out(*calls) == ["a", "b", "c", "d"]
    assert (runs, writer.commits) == ([["a", "b"], ["d"]], 1)
    assert await notes(connection) == ["a", "b", "c", "d"]

    one, null, two, again = await carry_out(*each("left", "e", None, "f", "a"))
    assert (one, two) == ("e", "f")
    assert (type(null), type(again)) == (Internal, Internal)
    assert runs == [["e", None, "f", "a"], ["e"], [None], ["f"], ["a"]]
    assert await notes(connection) == ["a", "b", "c", "d", "e", "f"]


async def test_a_caller_that_leaves_before_its_turn_withdraws(
    writer: Writer, connection: aiosqlite.Connection
) -> None:
    tasks = await queue(writer, "a", "b")
    tasks[0].cancel()
    await asyncio.sleep(0)
    await writer.run_once()
    assert await tasks[1] == "b"
    assert await notes(connection) == ["b"]


async def test_a_caller_that_leaves_later_breaks_nothing(
    writer: Writer, connection: aiosqlite.Connection
) -> None:
    async def leave(tx: Transaction) -> None:
        tasks[0].cancel()
        await note(tx, "left")

    first = asyncio.create_task(writer.apply(leave))
    tasks: list[asyncio.Task[None]] = [first]
    await asyncio.sleep(0)
    others = await queue(writer, "b")
    await writer.run_once()
    assert await others[0] == "b"
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await notes(connection) == ["left", "b"]


async def test_subscribers_hear_of_a_commit_in_order_and_before_the_callers(
    store: Store,
) -> None:
    heard: list[str] = []
    changes: list[Sequence[JobChange]] = []
    store.subscribe(lambda told: heard.append(f"told {len(told)}"))
    store.subscribe(changes.append)

    async def call(job_id: str) -> None:
        await store.create_job(new_job(id=job_id), new_images(1), 1_000)
        heard.append("answered")

    ids = [new_id() for _ in range(3)]
    await asyncio.gather(*(call(id_) for id_ in ids))
    assert heard == ["told 3", "answered", "answered", "answered"]
    assert [change.job.id for told in changes for change in told] == ids


async def test_what_is_rolled_back_is_told_to_nobody(store: Store) -> None:
    told: list[JobChange] = []
    store.subscribe(told.extend)
    job = new_job()
    results = await asyncio.gather(
        store.create_job(job, new_images(1), 1_000),
        store.close_job(new_id(), 1_000),
        store.create_job(job, new_images(1), 1_000),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["Job", "NotFound", "Internal"]
    assert [change.job.id for change in told] == [job.id]
    assert store.pending_images == 1


async def test_a_subscriber_can_leave_and_a_broken_one_harms_nobody(store: Store) -> None:
    def break_down(_changes: Sequence[JobChange]) -> None:
        raise RuntimeError("broken")

    told: list[JobChange] = []
    leave = store.subscribe(break_down)
    store.subscribe(told.extend)
    with capture_logs() as logs:
        await create(store)
        leave()
        await create(store)
    assert [log["event"] for log in logs] == ["subscriber_failed"]
    assert len(told) == 2


async def test_a_full_disk_is_called_so_and_nothing_half_done_stays(store: Store) -> None:
    kept = await create(store, 10)
    rows = list(await store._connection.execute_fetchall("PRAGMA page_count"))
    await store._connection.execute_fetchall(f"PRAGMA max_page_count = {rows[0][0] + 10}")
    big = new_job()
    with pytest.raises(StorageFull):
        await store.create_job(big, new_images(2_000), 1_000)
    with pytest.raises(NotFound):
        await store.job(big.id)
    assert (await store.cancel_job(kept.id, 2_000)).cancelled == 10


async def test_closing_finishes_what_is_queued_and_takes_no_more(database: Path) -> None:
    store = await Store.open(database)
    job = new_job()
    created = asyncio.create_task(store.create_job(job, new_images(1), 1_000))
    await asyncio.sleep(0)  # lets it queue its operation
    await store.close()
    assert (await created).id == job.id
    with pytest.raises(ShuttingDown):
        await store.delete_job(job.id)


async def test_a_busy_writer_gathers_and_an_idle_one_does_not_wait(
    connection: aiosqlite.Connection,
) -> None:
    # A linger that could never end by itself: only an idle writer answers under it.
    writer = Writer(connection, linger_s=3600, quiet_s=3600)
    running = asyncio.create_task(writer.run())
    assert await writer.apply(note, "alone") == "alone"
    assert await writer.apply(note, "alone again") == "alone again"
    assert writer.commits == 2
    writer.close()
    await running


async def test_operations_in_a_row_of_groups_share_commits(
    connection: aiosqlite.Connection,
) -> None:
    writer = Writer(connection)
    running = asyncio.create_task(writer.run())

    async def call(caller: int) -> None:
        for turn in range(10):
            await writer.apply(note, f"{caller}/{turn}")

    await asyncio.gather(*(call(caller) for caller in range(20)))
    assert len(await notes(connection)) == 200
    assert writer.commits <= 40
    writer.close()
    await running


async def test_a_tiny_write_proves_that_the_database_can_be_written(store: Store) -> None:
    await store.ping_writable()
    await store._connection.execute_fetchall("PRAGMA query_only = ON")
    with pytest.raises(Internal):
        await store.ping_writable()
    await store._connection.execute_fetchall("PRAGMA query_only = OFF")


async def test_writes_do_not_wait_for_what_hangs_in_asyncios_own_threads(store: Store) -> None:
    hung = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    share = loop.run_in_executor(None, hung.wait)
    try:
        async with asyncio.timeout(20):
            job = await store.create_job(new_job(), new_images(300), 1_000)
            claimed = await store.claim_images([(job.id, 300)], 1_000)
            assert await store.cancel_job(job.id, 1_000)
        assert len(claimed) == 300
    finally:
        hung.set()
        await share
