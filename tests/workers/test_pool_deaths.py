from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from imgsvc.domain.rendering import LossCause, Rendered, RenderFailed, TaskKey
from imgsvc.domain.retries import MAX_INNOCENT
from imgsvc.errors import ImageErrorCode
from imgsvc.workers.engine import PoolBroken, WorkerState
from imgsvc.workers.process import WorkerProcess
from imgsvc.workers.starts import MAX_FAILED
from imgsvc.workers.worker import Worker
from tests.open_files import no_more_files
from tests.workers import faults
from tests.workers.conftest import Follower, Gate, Pools


def pid_of(follower: Follower, slot: int = 0) -> int:
    pid = follower.pool.workers()[slot].pid
    assert pid is not None
    return pid


async def wait_for_death(pid: int) -> None:
    """Until the process with that number has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    dead = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, dead.set)
    await dead.wait()
    loop.remove_reader(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize("deed", ["crash", "leave"])
async def test_a_crash_blames_the_guilty_task_and_nobody_else(open_pool: Pools, deed: str) -> None:
    pool = await open_pool()
    before, guilty, after = await pool.submit("ok", deed, "ok")
    (queued,) = await pool.submit("ok")
    await pool.ended([before, guilty, after, queued])
    assert pool.causes() == {
        before: LossCause.INNOCENT,  # its report died with the child
        guilty: LossCause.CRASHED,
        after: LossCause.INNOCENT,
        queued: LossCause.INNOCENT,
    }


async def test_a_crash_leaves_no_files_and_the_slot_works_again(open_pool: Pools) -> None:
    pool = await open_pool()
    keys = await pool.submit("ok", "crash")
    await pool.ended(keys)
    assert list(pool.pool._folder.glob("*/job-*")) == []
    (outcome,) = await pool.finish("ok")
    assert isinstance(outcome, Rendered)
    assert pool.pool.workers()[0].restarts == 1


async def test_a_crash_in_one_slot_is_not_felt_in_another(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool(size=2)
    await pool.ready()
    running = await pool.begin(gate.content)
    (guilty,) = await pool.submit("crash")
    await pool.ended([guilty])
    assert running not in pool.endings()
    gate.open()
    await pool.ended([running])
    assert pool.causes() == {guilty: LossCause.CRASHED}


async def test_a_task_past_the_deadline_is_killed_and_timed_out(open_pool: Pools) -> None:
    pool = await open_pool(timeout_s=0.5)
    await pool.ready()
    guilty, after = await pool.submit("hang", "ok")
    await pool.ended([guilty, after])
    assert pool.causes() == {guilty: LossCause.TIMEOUT, after: LossCause.INNOCENT}
    assert pool.pool.workers()[0].restarts == 1


async def test_a_worker_that_notes_whatever_it_likes_has_a_deadline(
    open_pool: Pools, gate: Gate
) -> None:
    pool = await open_pool(timeout_s=1.0)
    await pool.ready()
    (guilty,) = await pool.submit(f"stray-about {gate.content.removeprefix('gate ')}")
    await pool.started(guilty)
    gate.open()
    await pool.ended([guilty])
    assert pool.causes() == {guilty: LossCause.TIMEOUT}


async def test_who_hides_what_it_was_at_is_blamed_after_a_few_times(open_pool: Pools) -> None:
    pool = await open_pool()
    task = pool.task("hide")
    task = replace(task, key=replace(task.key, claim=MAX_INNOCENT + 1))
    await pool.submit_tasks([task])
    await pool.ended([task.key])
    assert pool.causes() == {task.key: LossCause.CRASHED}


async def test_who_kills_its_worker_before_the_sender_goes_on_is_blamed(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = WorkerProcess.submit

    def submit_and_lag(process: WorkerProcess, *args: object, **options: object) -> None:
        submit(process, *args, **options)  # type: ignore[arg-type]
        death = select.poll()
        death.register(process.pidfd, select.POLLIN)
        death.poll()

    monkeypatch.setattr(WorkerProcess, "submit", submit_and_lag)
    pool = await open_pool()
    (guilty,) = await pool.submit("crash")
    await pool.ended([guilty])
    assert pool.causes() == {guilty: LossCause.CRASHED}


async def test_who_could_not_be_sent_is_never_blamed(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die_and_refuse(process: WorkerProcess, *_: object, **__: object) -> None:
        process.kill()
        raise RuntimeError("its executor is broken")

    pool = await open_pool()
    await pool.ready()
    monkeypatch.setattr(WorkerProcess, "submit", die_and_refuse)
    task = pool.task("ok")
    task = replace(task, key=replace(task.key, claim=MAX_INNOCENT + 1))
    await pool.submit_tasks([task])
    await pool.ended([task.key])
    assert pool.causes() == {task.key: LossCause.INNOCENT}


async def test_deaths_of_the_first_task_do_not_break_the_pool(open_pool: Pools) -> None:
    pool = await open_pool()
    for _ in range(MAX_FAILED + 1):
        (key,) = await pool.submit("leave")
        await pool.ended([key])
        assert pool.causes()[key] is LossCause.CRASHED
    (outcome,) = await pool.finish("ok")
    assert isinstance(outcome, Rendered)


async def test_who_leaves_tasks_undone_unasked_is_replaced(open_pool: Pools) -> None:
    pool = await open_pool()
    before, guilty, after = await pool.submit("ok", "shirk", "ok")
    await pool.ended([before, guilty, after])
    assert pool.causes() == {
        before: LossCause.INNOCENT,
        guilty: LossCause.CRASHED,
        after: LossCause.INNOCENT,
    }
    await pool.finish("ok")
    assert pool.pool.workers()[0].restarts == 1


async def test_a_task_that_allocates_without_end_is_out_of_memory(open_pool: Pools) -> None:
    pool = await open_pool()
    hog, after = await pool.submit("hog", "ok")
    await pool.ended([hog, after])
    outcome = pool.finished(hog).outcome
    assert isinstance(outcome, RenderFailed)
    assert outcome.failure.code is ImageErrorCode.OUT_OF_MEMORY
    assert isinstance(pool.finished(after).outcome, Rendered)


async def test_what_is_reserved_and_never_touched_is_no_matter_of_memory(open_pool: Pools) -> None:
    pool = await open_pool()
    share = 64  # MiB, with which the header of the largest WebP is read
    (outcome,) = await pool.finish(f"reserve {2 * share + 1024}", memory_bytes=share << 20)
    assert isinstance(outcome, Rendered)


async def test_a_native_abort_for_want_of_memory_is_out_of_memory(open_pool: Pools) -> None:
    pool = await open_pool()
    (guilty,) = await pool.submit("abort-for-memory")
    await pool.ended([guilty])
    assert pool.causes() == {guilty: LossCause.OUT_OF_MEMORY}


async def test_what_an_earlier_task_said_is_not_held_against_a_later_one(
    open_pool: Pools,
) -> None:
    pool = await open_pool()
    earlier, guilty = await pool.submit("complain", "crash")
    await pool.ended([earlier, guilty])
    assert pool.causes()[guilty] is LossCause.CRASHED


async def test_a_death_beyond_the_share_of_memory_is_out_of_memory(open_pool: Pools) -> None:
    pool = await open_pool()
    (guilty,) = await pool.submit_tasks([replace(pool.task("crash"), is_heavy=True)])
    await pool.ended([guilty])
    assert pool.causes() == {guilty: LossCause.OUT_OF_MEMORY}


async def test_a_death_while_no_file_can_be_opened_breaks_nothing(open_pool: Pools) -> None:
    pool = await open_pool()
    (running,) = await pool.submit("hang")
    await pool.started(running)
    with no_more_files():
        os.kill(pid_of(pool), signal.SIGKILL)
        await pool.ended([running])
    assert pool.causes() == {running: LossCause.CRASHED}
    await pool.finish("ok")
    assert [path.name for path in pool.pool._folder.glob("*/job-0-*")] == []


async def test_a_pool_whose_funeral_fails_can_be_drained(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Worker.close

    def fail(worker: Worker) -> None:
        close(worker)
        raise PermissionError

    monkeypatch.setattr(Worker, "close", fail)
    pool = await open_pool()
    await pool.submit("crash")
    with pytest.raises(PermissionError):
        await pool.end()
    await pool.pool.drain(0)


async def test_an_idle_child_that_is_killed_costs_no_task(open_pool: Pools) -> None:
    pool = await open_pool()
    await pool.ready()
    pid = pid_of(pool)
    os.kill(pid, signal.SIGKILL)
    await wait_for_death(pid)
    await pool.ended(await pool.submit("ok"))
    assert LossCause.CRASHED not in pool.causes().values()
    assert pid_of(pool) != pid


async def test_a_child_killed_by_hand_costs_only_the_task_it_runs(
    open_pool: Pools, gate: Gate
) -> None:
    pool = await open_pool()
    (running, next_one) = await pool.submit(gate.content, "ok")
    (queued,) = await pool.submit("ok")
    await pool.started(running)
    os.kill(pid_of(pool), signal.SIGKILL)
    await pool.ended([running, next_one, queued])
    assert pool.causes() == {
        running: LossCause.CRASHED,
        next_one: LossCause.INNOCENT,
        queued: LossCause.INNOCENT,
    }


async def test_children_ignore_the_signals_that_a_terminal_or_systemd_sends(
    open_pool: Pools, gate: Gate
) -> None:
    pool = await open_pool()
    running = await pool.begin(gate.content)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid_of(pool), number)
    gate.open()
    await pool.ended([running])
    assert pool.causes() == {}


async def test_a_stopped_group_of_processes_times_nothing_out(
    open_pool: Pools, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time counts only as far as it was watched: a gap of an hour is one second at most."""
    pool = await open_pool(timeout_s=5.0)
    running = await pool.begin(gate.content)
    looks = 0
    looked = asyncio.Event()

    def hour_later_s() -> float:
        nonlocal looks
        looks += 1
        if looks == 3:
            looked.set()
        return time.monotonic() + 3600

    monkeypatch.setattr("imgsvc.workers.pool.monotonic", hour_later_s)
    await looked.wait()
    gate.open()
    await pool.ended([running])
    assert pool.causes() == {}


async def test_children_that_die_while_they_start_break_the_pool(open_pool: Pools) -> None:
    pool = await open_pool(warm_up=faults.die_at_once)
    with pytest.raises(PoolBroken, match="3 times in a row"):
        await pool.end()
    with pytest.raises(PoolBroken):
        await pool.pool.submit([pool.task("ok")])


async def test_a_slot_that_cannot_start_leaves_the_work_to_others_until_it_can(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = await open_pool(warm_up=faults.die_if_told)
    await pool.ready()
    monkeypatch.setenv(faults.DYING, "1")
    await pool.pool.resize(2)
    logged = ""
    while "times=3" not in logged:
        (outcome,) = await pool.finish("ok")
        assert isinstance(outcome, Rendered)
        logged += capsys.readouterr().out
    monkeypatch.delenv(faults.DYING)
    while not all(facts.state is WorkerState.IDLE for facts in pool.pool.workers()):
        (outcome,) = await pool.finish("ok")
        assert isinstance(outcome, Rendered)


async def test_a_worker_that_cannot_be_replaced_works_on(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = await open_pool(warm_up=faults.die_if_told, max_tasks_per_child=1)
    await pool.ready()
    monkeypatch.setenv(faults.DYING, "1")
    logged = ""
    while "times=3" not in logged:
        (outcome,) = await pool.finish("ok")
        assert isinstance(outcome, Rendered)
        logged += capsys.readouterr().out
    assert pool.pool.size == 1


async def test_a_bundle_at_a_child_that_never_starts_is_given_back(open_pool: Pools) -> None:
    pool = await open_pool(warm_up=faults.die_at_once)
    (key,) = await pool.submit("ok")
    with pytest.raises(PoolBroken):
        await pool.end()
    assert pool.causes() == {key: LossCause.INNOCENT}


async def test_a_broken_pool_can_be_drained_and_leaves_nothing_behind(
    open_pool: Pools,
) -> None:
    pool = await open_pool(size=2, warm_up=faults.die_at_once)
    submits = [pool.submit("ok", "ok") for _ in range(4)]
    await asyncio.gather(*submits, return_exceptions=True)
    with pytest.raises(PoolBroken):
        await pool.end()
    await pool.pool.drain(5)
    assert pool.pool.workers() == ()
    assert list(pool.pool._folder.glob("*/*")) == []


async def test_a_child_is_replaced_after_so_many_tasks(open_pool: Pools) -> None:
    pool = await open_pool(max_tasks_per_child=3)
    await pool.ready()
    first = pid_of(pool)
    await pool.finish("ok", "ok")
    await wait_for_death(first)
    (outcome,) = await pool.finish("ok")
    assert isinstance(outcome, Rendered)
    assert pid_of(pool) != first
    assert pool.causes() == {}
    assert pool.pool.workers()[0].restarts == 0


async def test_a_child_that_has_grown_is_replaced(open_pool: Pools) -> None:
    pool = await open_pool(max_resident_bytes=100 * 1024**2)
    await pool.ready()
    first = pid_of(pool)
    await pool.finish("grow 10")
    assert pid_of(pool) == first
    await pool.finish("grow 100")
    await wait_for_death(first)
    await pool.finish("ok")
    assert pool.causes() == {}


async def test_a_slot_keeps_working_while_its_successor_warms_up(open_pool: Pools) -> None:
    pool = await open_pool(max_tasks_per_child=1)
    keys: list[TaskKey] = []
    for _ in range(60):
        keys += await pool.submit("ok")
    await pool.ended(keys)
    assert pool.causes() == {}
    assert list(Path(pool.pool._folder).glob("*/*.input")) == []


async def test_room_that_comes_back_is_told(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await open_pool(warm_up=faults.die_if_told)
    await pool.ready()
    (facts,) = pool.pool.workers()
    assert facts.pid is not None
    monkeypatch.setenv(faults.DYING, "1")
    os.kill(facts.pid, signal.SIGKILL)
    await pool.until(lambda: pool.pool.room() == 0)
    monkeypatch.delenv(faults.DYING)
    await pool.until(lambda: pool.pool.room() > 0)


@pytest.mark.parametrize("removed", ["0", "0.in", "."])
async def test_a_slot_whose_folders_somebody_removes_gets_new_ones_and_a_new_worker(
    open_pool: Pools, removed: str
) -> None:
    pool = await open_pool()
    (first,) = await pool.submit("ok")
    await pool.ended([first])
    before = pid_of(pool)
    await asyncio.to_thread(shutil.rmtree, pool.pool._folder / removed)
    (lost,) = await pool.submit("ok")
    await pool.ended([lost])
    assert pool.causes() == {lost: LossCause.INNOCENT}
    (again,) = await pool.submit("ok")
    await pool.ended([again])
    assert isinstance(pool.finished(again).outcome, Rendered)
    assert pid_of(pool) != before


async def test_a_task_whose_folders_somebody_removes_is_lost_and_has_not_failed(
    open_pool: Pools, gate: Gate
) -> None:
    """As after any crash: it is tried once more."""
    pool = await open_pool()
    running = await pool.begin(gate.content)
    await asyncio.to_thread(shutil.rmtree, pool.pool._folder)
    gate.open()
    await pool.ended([running])
    assert pool.causes() == {running: LossCause.CRASHED}
    (again,) = await pool.submit("ok")
    await pool.ended([again])
    assert isinstance(pool.finished(again).outcome, Rendered)
