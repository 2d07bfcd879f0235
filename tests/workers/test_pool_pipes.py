"""What a worker shares with the server, and what becomes of that when it dies."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from concurrent.futures import process
from dataclasses import replace
from pathlib import Path

import pytest

from imgsvc.domain.rendering import LossCause, Rendered
from imgsvc.workers import slot
from imgsvc.workers.parcel import CALL_BYTES
from tests.workers.conftest import Gate, Pools
from tests.workers.test_pool_deaths import pid_of

HANDS = 4


def threads_of_executors() -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if isinstance(thread, process._ExecutorManagerThread) or thread.name == "QueueFeederThread"
    ]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("deed", ["take-locks", "answer-by-half"])
async def test_who_dies_in_the_middle_of_something_holds_nobody_up(
    open_pool: Pools, deed: str
) -> None:
    pool = await open_pool()
    await pool.ready()
    before = await asyncio.to_thread(open_files)
    for _ in range(HANDS + 1):
        (guilty,) = await pool.submit(deed)
        await pool.ended([guilty])
        assert pool.causes()[guilty] is LossCause.CRASHED
        (outcome,) = await pool.finish("ok")
        assert isinstance(outcome, Rendered)
    gc.collect()
    assert await asyncio.to_thread(open_files) < before + 10  # one burial may be under way
    await pool.pool.drain(0)
    assert threads_of_executors() == []


async def test_what_dead_workers_held_open_is_closed(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "COLLECT_AFTER_S", 0.0)
    pool = await open_pool()
    found = set()
    gc.disable()  # nothing is collected but what the slot asks for
    try:
        for _ in range(3):
            await pool.finish("ok")
            (worker,) = pool.pool._slots[0]._workers
            await pool.ended(await pool.submit("crash"))
            await worker.gone.wait()
            await asyncio.sleep(0)  # what is due at once is done
            await pool.finish("ok")
            found.add(await asyncio.to_thread(open_files))
    finally:
        gc.enable()
    assert len(found) == 1


async def test_who_answers_what_nobody_has_asked_is_replaced(open_pool: Pools) -> None:
    """Or it might say so without end, and the server would do nothing but read it."""
    pool = await open_pool()
    (guilty,) = await pool.submit("babble")
    await pool.ended([guilty])
    assert pool.causes() == {guilty: LossCause.CRASHED}
    (outcome,) = await pool.finish("ok")
    assert isinstance(outcome, Rendered)
    assert pool.pool.workers()[0].restarts == 1


async def test_what_stands_where_a_report_is_written_makes_way(open_pool: Pools) -> None:
    pool = await open_pool()
    await pool.ready()
    pool.pool._slots[0].scratch.report_path(2).symlink_to("/nowhere/report")
    outcomes = await pool.finish(*["many"] * 8)
    assert {type(outcome) for outcome in outcomes} == {Rendered}


async def test_who_leaves_no_room_in_the_pipe_and_dies_holds_nobody_up(
    open_pool: Pools, gate: Gate
) -> None:
    pool = await open_pool()
    (guilty,) = await pool.submit(f"fill-calls {gate.content.removeprefix('gate ')}")
    await pool.started(guilty)
    (queued,) = await pool.submit("ok")
    gate.open()
    await pool.ended([guilty, queued])
    assert pool.causes() == {guilty: LossCause.CRASHED, queued: LossCause.INNOCENT}
    await pool.pool.drain(0)
    assert threads_of_executors() == []


async def test_workers_and_server_share_no_locks(open_pool: Pools) -> None:
    """Nor do their names stay in /dev/shm when all of them are killed."""
    pool = await open_pool()
    await pool.ready()
    assert "/sem." not in await asyncio.to_thread(Path("/proc/self/maps").read_text)


async def test_a_worker_that_there_is_no_thread_for_is_refused_and_started_later(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: threading.Thread) -> None:
        monkeypatch.undo()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(process._ExecutorManagerThread, "start", refuse)
    pool = await open_pool()
    await pool.pool.formats()
    (outcome,) = await pool.finish("ok")
    assert isinstance(outcome, Rendered)
    assert "can't start new thread" in capsys.readouterr().out


async def test_a_pool_has_its_own_threads_from_the_start(open_pool: Pools) -> None:
    """Later the system may have none left."""
    await open_pool()
    names = [t.name for t in threading.enumerate() if t.name.startswith("worker-")]
    assert len(names) == HANDS + 1


async def test_a_death_leaves_no_call_that_nobody_read(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool()
    running = await pool.begin(gate.content)
    large = replace(pool.task("ok"), recipe=" " * CALL_BYTES)
    await pool.submit_tasks([large])
    assert len(list(pool.pool._folder.glob("*/call-*"))) == 1
    os.kill(pid_of(pool), signal.SIGKILL)
    await pool.ended([running, large.key])
    assert list(pool.pool._folder.glob("*/call-*")) == []
