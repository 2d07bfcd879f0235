"""The database's log stays short, whoever reads."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from imgsvc.store.store import Store
from imgsvc.upkeep import checkpoints
from imgsvc.upkeep.checkpoints import EVERY_S, IDLE_S, SMALL_BYTES, Checkpoints
from tests.store.builders import create

LIMIT_BYTES = 256 << 10
SLOW = (
    "WITH RECURSIVE c (n) AS (SELECT (SELECT count(*) FROM jobs) UNION ALL "
    "SELECT n + 1 FROM c WHERE n < 20000) SELECT count(*) FROM c"
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "imgsvc.db")
    yield store
    await store.close()


@pytest.fixture
def wal(tmp_path: Path) -> Path:
    return tmp_path / "imgsvc.db-wal"


async def test_under_steady_readers_the_log_is_cut_all_the_same(
    store: Store, wal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every connection is always in the middle of a query that began before the last commit:
    without a pause the log could never begin anew."""
    monkeypatch.setattr(checkpoints, "LARGE_BYTES", LIMIT_BYTES)
    await store._connection.execute_fetchall("PRAGMA wal_autocheckpoint = 50")
    upkeep, reads, written, peak_bytes = Checkpoints(store), 0, 0, 0
    done = asyncio.Event()

    async def read() -> None:
        nonlocal reads
        while not done.is_set():
            await store._readers.fetch(SLOW, {})
            reads += 1

    readers = [asyncio.create_task(read()) for _ in range(6)]
    for _ in range(40):
        before = wal.stat().st_size
        await asyncio.gather(*(create(store, 20) for _ in range(5)))
        written += max(0, wal.stat().st_size - before)
        peak_bytes = max(peak_bytes, wal.stat().st_size)
        await upkeep.run_once()
    done.set()
    await asyncio.gather(*readers)
    assert reads > 20
    assert written > 8 * LIMIT_BYTES
    assert peak_bytes < 2.5 * LIMIT_BYTES


async def test_when_nothing_is_written_the_log_is_cut_to_nothing(store: Store, wal: Path) -> None:
    await create(store, 200)
    assert wal.stat().st_size > SMALL_BYTES
    upkeep = Checkpoints(store)
    rounds = 1
    while not await upkeep.run_once():
        rounds += 1
    assert rounds == IDLE_S / EVERY_S + 1
    assert wal.stat().st_size == 0
    assert not await upkeep.run_once()


async def test_a_log_that_another_program_holds_is_told_of_and_holds_up_nobody(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "LARGE_BYTES", 0)
    monkeypatch.setattr(checkpoints, "HUGE_BYTES", 1)
    told: list[dict[str, object]] = []
    monkeypatch.setattr(checkpoints.log, "warning", lambda event, **facts: told.append(facts))
    upkeep = Checkpoints(store)
    with closing(sqlite3.connect(tmp_path / "imgsvc.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM jobs").fetchone()
        await create(store, 200)
        assert not await upkeep.run_once()
        assert not await upkeep.run_once()
        await create(store, 1)
        other.execute("COMMIT")
    assert len(told) == 1
    assert await upkeep.run_once()


async def test_while_a_copy_is_made_the_work_goes_on(store: Store, tmp_path: Path) -> None:
    await create(store, 500)
    copying = asyncio.create_task(store.copy_to(tmp_path / "copy.db"))
    while not copying.done():
        await create(store, 5)
        await store.shrink_wal()
    await copying
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        total, images = copy.execute(
            "SELECT (SELECT sum(total) FROM jobs), (SELECT count(*) FROM images)"
        ).fetchone()
    assert total == images >= 500
