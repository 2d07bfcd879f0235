"""What a worker was at when its server died."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from imgsvc.domain.rendering import DecodeLimits, RenderTask, TaskKey
from imgsvc.workers.last_task import LastTask, find_held
from imgsvc.workers.scratch import Scratch, remove_inputs
from tests.workers.conftest import Gate, Pools


def _place(scratch: Scratch, number: int) -> RenderTask:
    limits = DecodeLimits(1, 1)
    placed = scratch.place(RenderTask(TaskKey("job", number, 2), "", "", "{}", limits, 1))
    Path(placed.input_path).touch()
    return placed


def _new_file(scratch: Scratch) -> Path:
    return scratch.new_process_files().task


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    scratch = Scratch(tmp_path / "slots" / "0")
    scratch.folder.parent.mkdir()
    assert scratch.make()
    return scratch


async def test_of_all_that_a_worker_holds_one_is_what_it_is_at(
    open_pool: Pools, gate: Gate, tmp_path: Path
) -> None:
    pool = await open_pool()
    slots = tmp_path / "slots-0"
    first, running, behind = await pool.submit("ok", gate.content, "ok")
    (next_one,) = await pool.submit("ok")
    await pool.started(running)
    held = await asyncio.to_thread(find_held, slots)
    assert held == [f"{running.job_id}-{running.index}-{running.claim}"]
    gate.open()
    await pool.ended([first, running, behind, next_one])
    assert await asyncio.to_thread(find_held, slots) == []


def test_what_has_ended_is_held_by_nobody(scratch: Scratch) -> None:
    note = LastTask(_new_file(scratch))
    long, short = _place(scratch, 1000), _place(scratch, 1)
    slots = scratch.folder.parent
    note.note(long)
    assert find_held(slots) == ["job-1000-2"]
    remove_inputs(long)
    assert find_held(slots) == []
    note.note(short)
    assert find_held(slots) == ["job-1-2"]


def test_what_a_hijacked_child_leaves_there_is_neither_followed_nor_waited_for(
    scratch: Scratch, tmp_path: Path
) -> None:
    slots = scratch.folder.parent
    task = _place(scratch, 7)
    name = Path(task.input_path).name
    secret = tmp_path / "elsewhere"
    secret.write_text(name)
    _new_file(scratch).symlink_to(secret)
    _new_file(scratch).mkdir()
    os.mkfifo(_new_file(scratch))
    _new_file(scratch).write_bytes(b"\xff\0/" * 99_999)
    _new_file(scratch).write_text("job-8-1-abcd.input")
    assert find_held(slots) == []
    _new_file(scratch).write_text(f"{name}\n")
    assert find_held(slots) == ["job-7-2"]


def test_without_a_place_for_it_work_goes_on(scratch: Scratch) -> None:
    LastTask(scratch.folder / "not-there" / "task").note(_place(scratch, 1))
    assert find_held(scratch.folder.parent) == []
