from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imgsvc.domain.rendering import LossCause, Rendered, output_path
from imgsvc.workers.engine import PoolClosed, WorkerState
from imgsvc.workers.pool import WorkerPool
from tests.workers import faults
from tests.workers.conftest import Gate, Pools
from tests.workers.test_pool_deaths import wait_for_death


def is_running(pid: int | None) -> bool:
    """A zombie does not run."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_drain_lets_the_running_task_finish_and_gives_back_the_others(
    open_pool: Pools, gate: Gate
) -> None:
    pool = await open_pool()
    running, next_one = await pool.submit(gate.content, "ok")
    (queued,) = await pool.submit("ok")
    await pool.started(running)
    drain = asyncio.create_task(pool.pool.drain(20))
    await pool.ended([next_one, queued])  # at once, while the first still runs
    assert pool.causes() == {next_one: LossCause.INNOCENT, queued: LossCause.INNOCENT}
    gate.open()
    await drain
    await pool.end()
    assert isinstance(pool.finished(running).outcome, Rendered)


async def test_drain_kills_and_gives_back_what_outlasts_the_grace(
    open_pool: Pools, gate: Gate
) -> None:
    pool = await open_pool()
    running = await pool.begin(gate.content)
    await pool.pool.drain(0.05)
    await pool.end()
    assert pool.causes() == {running: LossCause.INNOCENT}


async def test_after_a_drain_no_child_is_left_and_no_file_but_outputs(open_pool: Pools) -> None:
    pool = await open_pool(size=2)
    await pool.ready()
    pids = [worker.pid for worker in pool.pool.workers()]
    tasks = [pool.finished(key).task for key in pool.submitted]
    (hanging,) = await pool.submit("hang")
    await pool.started(hanging)
    await pool.pool.drain(0)
    assert not any(is_running(pid) for pid in pids)
    left = {path.name for path in pool.pool._folder.glob("*/*")}
    assert left == {f"{Path(task.output_prefix).name}-only.png" for task in tasks}


async def test_a_drained_pool_takes_no_more(open_pool: Pools) -> None:
    pool = await open_pool()
    await pool.pool.drain(0)
    await pool.pool.drain(0)
    await pool.end()
    assert pool.pool.room() == 0
    with pytest.raises(PoolClosed):
        await pool.pool.submit([pool.task("ok")])
    with pytest.raises(PoolClosed):
        await pool.pool.resize(2)


async def test_drain_wakes_a_submit_that_waits_for_room(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool()
    await pool.submit(gate.content)
    await pool.submit("ok")
    waiting = asyncio.create_task(pool.pool.submit([pool.task("ok")]))
    await asyncio.sleep(0)
    await pool.pool.drain(0)
    with pytest.raises(PoolClosed):
        await waiting


async def test_a_pool_can_be_drained_while_it_still_starts(open_pool: Pools) -> None:
    pool = await open_pool(size=3)
    (key,) = await pool.submit("ok")
    await pool.pool.drain(0)
    await pool.end()
    assert key in pool.endings()
    assert list(pool.pool._folder.glob("*/process-*")) == []


async def test_a_cancelled_submit_keeps_its_bundle(open_pool: Pools) -> None:
    pool = await open_pool()
    task = pool.task("ok")
    pool.submitted.append(task.key)
    submit = asyncio.create_task(pool.pool.submit([task]))
    await asyncio.sleep(0)
    submit.cancel()
    await pool.ended([task.key])


async def test_kill_ends_every_child_at_once(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool(size=2)
    await pool.ready()
    running = await pool.begin(gate.content)
    pids = [worker.pid for worker in pool.pool.workers()]
    pool.pool.kill()
    for pid in pids:
        assert pid is not None
        await wait_for_death(pid)
    await pool.ended([running])
    assert pool.causes() == {running: LossCause.INNOCENT}


async def test_growing_opens_slots_that_work(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool()
    share_bytes = pool.pool.share_bytes
    (running,) = await pool.submit(gate.content)
    await pool.pool.resize(3)
    assert (pool.pool.size, pool.pool.room()) == (3, 5)
    assert pool.pool.share_bytes == share_bytes // 3
    keys = [(await pool.submit(gate.content))[0] for _ in range(2)]
    for key in [running, *keys]:
        await pool.started(key)
    gate.open(3)
    await pool.ended([running, *keys])


async def test_shrinking_loses_nothing_in_flight(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool(size=3)
    await pool.ready()
    pids = [worker.pid for worker in pool.pool.workers()]
    keys = [(await pool.submit(gate.content, "ok"))[0] for _ in range(6)]
    await pool.pool.resize(1)
    assert (pool.pool.size, pool.pool.room()) == (1, 0)
    states = [worker.state for worker in pool.pool.workers()]
    assert states.count(WorkerState.LEAVING) == 2
    gate.open(6)
    await pool.ended(pool.submitted)
    assert pool.causes() == {}
    for pid in pids[1:]:
        assert pid is not None
        await wait_for_death(pid)
    assert len(keys) == 6
    await pool.finish("ok")


async def test_a_slot_can_leave_and_another_come_at_the_same_time(
    open_pool: Pools, gate: Gate
) -> None:
    pool = await open_pool(size=2)
    await pool.ready()
    for _ in range(2):
        await pool.submit(gate.content)
    await pool.pool.resize(1)
    await pool.pool.resize(3)
    numbers = [worker.slot for worker in pool.pool.workers()]
    assert len(set(numbers)) == 4
    gate.open(2)
    await pool.ended(pool.submitted)
    await pool.finish("ok")
    assert pool.causes() == {}


async def test_a_pool_has_at_least_one_slot(open_pool: Pools) -> None:
    pool = await open_pool()
    with pytest.raises(ValueError, match="at least one"):
        await pool.pool.resize(0)


async def test_facts_tell_what_each_slot_does(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool()
    await pool.ready()
    (worker,) = pool.pool.workers()
    assert (worker.state, worker.tasks_done, worker.bundles) == (WorkerState.IDLE, 1, 0)
    assert worker.resident_bytes > 1024**2
    (running,) = await pool.submit(gate.content)
    assert pool.pool.workers()[0].state is WorkerState.BUSY
    gate.open()
    await pool.ended([running])


_PARENT = """
import asyncio, sys
from pathlib import Path
from imgsvc.telemetry.logs import configure_logs
from imgsvc.workers.pool import WorkerPool
from tests.workers import faults

async def main():
    configure_logs()
    pool = WorkerPool(folder=Path(sys.argv[1]), size=2, timeout_s=60, memory_bytes=1 << 28,
                      render=faults.render)
    await pool.start()
    while not all(worker.state == "idle" for worker in pool.workers()):
        await asyncio.sleep(0.01)
    print(*(worker.pid for worker in pool.workers()), flush=True)
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_children_never_outlive_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    root = Path(faults.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "slots")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    ) as parent:
        assert parent.stdout is not None
        descriptors = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(descriptors) == 2
        parent.send_signal(signal.SIGKILL)
        for descriptor in descriptors:
            ended, _, _ = select.select([descriptor], [], [], 10)
            os.close(descriptor)
            assert ended


async def test_a_pool_that_was_never_started_can_be_drained(tmp_path: Path) -> None:
    pool = WorkerPool(folder=tmp_path / "slots", size=1, timeout_s=1, memory_bytes=1)
    await pool.drain(0)
    assert [event async for batch in pool.events() for event in batch] == []


async def test_outputs_of_a_slot_that_left_outlive_the_slots_that_come(open_pool: Pools) -> None:
    pool = await open_pool(size=2)
    await pool.ready()
    keys = [(await pool.submit("ok"))[0] for _ in range(4)]
    await pool.ended(keys)
    outputs = [
        Path(output_path(pool.finished(key).task.output_prefix, "only", "png"))
        for key in pool.submitted
    ]
    assert len({path.parent for path in outputs}) == 2
    await pool.pool.resize(1)
    while len(pool.pool.workers()) == 2:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    await pool.pool.resize(2)
    await pool.finish("ok")
    assert all(path.exists() for path in outputs)
