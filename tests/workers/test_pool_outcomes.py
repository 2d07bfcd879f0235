from __future__ import annotations

import asyncio
import errno
import os
import signal
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imgsvc.domain.rendering import (
    Finished,
    LossCause,
    NeedsMemory,
    Outcome,
    Rendered,
    RenderFailed,
    Started,
    TaskKey,
    output_path,
)
from imgsvc.domain.retries import MAX_INNOCENT
from imgsvc.errors import ImageErrorCode
from imgsvc.workers import answers, process, slot, space, starts
from tests.workers import faults
from tests.workers.conftest import Gate, Pools


async def test_outcomes_of_a_bundle_come_back_in_its_order(open_pool: Pools) -> None:
    pool = await open_pool()
    keys = await pool.submit("ok a", "needs-memory 99999999999", "raise", "ok b")
    await pool.ended(keys)
    assert [e.task.key for e in pool.events if isinstance(e, Finished)] == keys
    kinds = [type(pool.finished(key).outcome) for key in keys]
    assert kinds == [Rendered, NeedsMemory, RenderFailed, Rendered]
    assert pool.finished(keys[1]).outcome == NeedsMemory(99_999_999_999)


async def test_bundles_of_a_slot_run_in_the_order_they_were_submitted(open_pool: Pools) -> None:
    pool = await open_pool()
    keys = [key for _ in range(6) for key in await pool.submit("ok", "ok")]
    await pool.ended(keys)
    assert [e.key for e in pool.events if isinstance(e, Started)] == keys
    assert [e.task.key for e in pool.events if isinstance(e, Finished)] == keys


async def test_every_finished_task_was_announced_before(open_pool: Pools) -> None:
    pool = await open_pool()
    keys = await pool.submit("ok", "ok", "ok")
    await pool.ended(keys)
    for key in keys:
        assert pool.events.index(Started(key)) < pool.events.index(pool.finished(key))


async def test_a_running_task_is_announced_while_it_runs(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool()
    first, last = await pool.submit("ok", gate.content)
    await pool.started(last)
    assert Started(first) in pool.events
    assert pool.endings() == []
    gate.open()
    await pool.ended([last])


async def test_outputs_stand_under_the_prefix_and_belong_to_the_consumer(
    open_pool: Pools,
) -> None:
    pool = await open_pool()
    task = pool.task("ok data")
    (key,) = await pool.submit_tasks([task])
    await pool.ended([key])
    done = pool.finished(key).task
    output = Path(output_path(done.output_prefix, "only", "png"))
    assert output.read_bytes() == b"data" * 10
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert list(output.parent.glob("job-*")) == [output]
    await pool.pool.release(done)
    assert not output.exists()
    assert Path(task.input_path).read_text() == "ok data"


async def test_release_refuses_what_stands_elsewhere(open_pool: Pools) -> None:
    pool = await open_pool()
    with pytest.raises(ValueError, match="slot's folder"):
        await pool.pool.release(pool.task("ok"))


async def test_an_exception_is_an_internal_failure_and_leaves_no_file(open_pool: Pools) -> None:
    pool = await open_pool()
    (key,) = await pool.submit("raise")
    await pool.ended([key])
    done = pool.finished(key)
    assert isinstance(done.outcome, RenderFailed)
    assert done.outcome.failure.code is ImageErrorCode.INTERNAL
    assert "defect" not in done.outcome.failure.message
    assert list(Path(done.task.output_prefix).parent.glob("job-*")) == []


async def test_a_missing_input_fails_alone(open_pool: Pools) -> None:
    pool = await open_pool()
    tasks = [pool.task("ok"), pool.task("ok"), pool.task("ok")]
    Path(tasks[1].input_path).unlink()
    keys = await pool.submit_tasks(tasks)
    await pool.ended(keys)
    outcomes = [pool.finished(key).outcome for key in keys]
    assert [type(outcome) for outcome in outcomes] == [Rendered, RenderFailed, Rendered]


async def test_a_bundle_without_any_input_frees_its_place(open_pool: Pools) -> None:
    pool = await open_pool()
    task = pool.task("ok")
    Path(task.input_path).unlink()
    await pool.ended(await pool.submit_tasks([task]))
    assert pool.pool.room() == 2


async def test_an_input_behind_a_symbolic_link_is_read(open_pool: Pools) -> None:
    pool = await open_pool()
    task = pool.task("ok")
    source = Path(task.input_path)
    source.rename(source.with_suffix(".real"))
    source.symlink_to(source.with_suffix(".real").name)
    (key,) = await pool.submit_tasks([task])
    await pool.ended([key])
    assert isinstance(pool.finished(key).outcome, Rendered)


async def test_an_input_that_cannot_be_linked_is_copied(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    pool = await open_pool()
    monkeypatch.setattr(os, "link", refuse)
    outcomes = await pool.finish("ok", "ok")
    assert [type(outcome) for outcome in outcomes] == [Rendered, Rendered]


async def test_reports_and_bundles_of_any_size_come_through(open_pool: Pools) -> None:
    pool = await open_pool()
    outcomes = await pool.finish(*["many"] * 8, *["ok " + "x" * 1000] * 192)
    assert len(outcomes) == 200
    assert isinstance(outcomes[0], Rendered)
    assert len(outcomes[0].outputs) == len(faults.MANY)


async def test_a_worker_that_makes_what_nobody_asked_for_is_not_believed(open_pool: Pools) -> None:
    pool = await open_pool()
    (key,) = await pool.submit("stray")
    await pool.ended([key])
    assert pool.causes() == {key: LossCause.CRASHED}
    assert isinstance((await pool.finish("ok"))[0], Rendered)


async def test_a_report_that_finds_no_space_costs_nobody_an_attempt(open_pool: Pools) -> None:
    pool = await open_pool()
    outcomes = await pool.finish("tell-without-space", "ok")
    assert [_code(outcome) for outcome in outcomes] == ["storage_full", "storage_full"]
    assert not any("job" in path.name for path in pool.pool._folder.rglob("*"))
    (outcome,) = await pool.finish("ok")
    assert isinstance(outcome, Rendered)
    assert pool.pool.workers()[0].restarts == 0


@pytest.mark.parametrize("is_plenty", [True, False])
async def test_that_there_is_no_space_is_believed_for_ever_only_where_there_is_little(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch, is_plenty: bool
) -> None:
    monkeypatch.setattr(process, "is_plenty", lambda *_: is_plenty)
    pool = await open_pool()
    first = pool.task("find-no-space")
    later = replace(first, key=replace(first.key, claim=MAX_INNOCENT + 1))
    await pool.submit_tasks([first])
    await pool.ended([first.key])
    assert _code(pool.finished(first.key).outcome) == "storage_full"
    await pool.submit_tasks([later])
    await pool.ended([later.key])
    assert pool.causes() == ({later.key: LossCause.CRASHED} if is_plenty else {})


def test_there_is_plenty_of_space_where_a_large_file_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "MAX_FILE_BYTES", 1)
    monkeypatch.setattr(space, "_TAKEN_BYTES", 1 << 20)
    assert space.is_plenty(tmp_path, 1)
    monkeypatch.setattr(space, "MAX_FILE_BYTES", 1 << 80)
    assert not space.is_plenty(tmp_path, space.MAX_PATIENT)
    assert space.is_plenty(tmp_path, space.MAX_PATIENT + 1)

    def refuse(*_: object) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert not space.is_plenty(tmp_path, space.MAX_PATIENT + 1)


async def test_a_bundle_that_finds_no_space_costs_nobody_an_attempt(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    pool = await open_pool()
    with monkeypatch.context() as patch:
        patch.setattr(process, "pack", refuse)
        outcomes = await pool.finish("ok", "ok")
    assert [_code(outcome) for outcome in outcomes] == ["storage_full", "storage_full"]
    (outcome,) = await pool.finish("ok")
    assert isinstance(outcome, Rendered)
    assert pool.pool.workers()[0].restarts == 0


async def test_a_report_that_cannot_be_read_now_costs_nobody_an_attempt(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    pool = await open_pool()
    with monkeypatch.context() as patch:
        patch.setattr(answers, "read_file", refuse)
        outcomes = await pool.finish(*["many"] * 8)
    assert {_code(outcome) for outcome in outcomes} == {"storage_full"}
    assert not any("job" in path.name for path in pool.pool._folder.rglob("*"))
    (outcome,) = await pool.finish("ok")
    assert isinstance(outcome, Rendered)
    assert pool.pool.workers()[0].restarts == 0


async def test_a_process_that_the_system_has_no_room_for_is_tried_until_it_has(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def refuse(*arguments: Any) -> Any:
        tries.append(1)
        if len(tries) <= starts.MAX_FAILED:
            raise OSError(errno.EMFILE, "Too many open files")
        return process.spawn(*arguments)

    monkeypatch.setattr(starts, "REFUSED_PAUSE_S", 0.01)
    monkeypatch.setattr(slot, "spawn", refuse)
    pool = await open_pool()
    await pool.pool.formats()  # there is one that is warm
    (outcome,) = await pool.finish("ok")
    assert isinstance(outcome, Rendered)


def _code(outcome: Outcome) -> str | None:
    return str(outcome.failure.code) if isinstance(outcome, RenderFailed) else None


async def test_children_are_set_up_as_the_design_says(open_pool: Pools) -> None:
    pool = await open_pool()
    (key,) = await pool.submit("tell")
    await pool.ended([key])
    path = output_path(pool.finished(key).task.output_prefix, "only", "png")
    told = Path(path).read_text().split("\n")[0].split(",")
    (worker,) = pool.pool.workers()
    expected = [worker.pid, 0o077, int(signal.SIGKILL), 2, 1, 1, 1]
    assert told == [str(fact) for fact in expected]


async def test_room_counts_two_bundles_a_slot(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool(size=2)
    assert pool.pool.room() == 4
    first = await pool.submit(gate.content)
    assert pool.pool.room() == 3
    gate.open()
    await pool.ended(first)
    assert pool.pool.room() == 4


async def test_bundles_go_to_the_least_loaded_slot(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool(size=2)
    await pool.ready()
    keys = [(await pool.submit(gate.content))[0] for _ in range(2)]
    for key in keys:
        await pool.started(key)
    assert [worker.bundles for worker in pool.pool.workers()] == [1, 1]
    gate.open(2)
    await pool.ended(keys)


async def test_submit_waits_for_room(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool()
    keys = await pool.submit(gate.content)
    keys += await pool.submit("ok")
    assert pool.pool.room() == 0
    waiting = asyncio.create_task(pool.submit("ok"))
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.open()
    await pool.ended(keys + await waiting)


async def test_an_empty_bundle_is_refused(open_pool: Pools) -> None:
    pool = await open_pool()
    with pytest.raises(ValueError, match="1 to"):
        await pool.pool.submit([])


async def test_start_wipes_what_a_former_run_left(open_pool: Pools, tmp_path: Path) -> None:
    left = tmp_path / "slots-0" / "7" / "job-1-1-only.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"old")
    pool = await open_pool()
    assert not left.parent.exists()
    (outcome,) = await pool.finish("ok")
    assert isinstance(outcome, Rendered)
    assert pool.submitted == [TaskKey("job", 0, 1)]
