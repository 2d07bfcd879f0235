"""What a worker says of the bundles that it holds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from imgsvc.domain.confinement import Confinement
from imgsvc.domain.formats import Formats
from imgsvc.domain.rendering import DecodeLimits, RenderTask, Started, TaskKey
from imgsvc.domain.retries import MAX_INNOCENT
from imgsvc.workers.bundle import Bundle
from imgsvc.workers.notes import NO_TASK, Notes, TaskMark
from imgsvc.workers.process import WorkerProcess
from imgsvc.workers.report import Greeting
from imgsvc.workers.scratch import Scratch
from imgsvc.workers.worker import Worker


class UnusedExecutor:
    """Takes no call; the notes are all that these tests move."""


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    ready: Future[Greeting] = Future()
    pidfd = os.pidfd_open(os.getpid())
    process = WorkerProcess(
        UnusedExecutor(),  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        os.getpid(),
        pidfd,
        await asyncio.to_thread(Notes),
        None,  # type: ignore[arg-type]
        Scratch(tmp_path).new_process_files(),
        ready,
    )
    yield Worker(process, lambda _: None)
    asyncio.get_running_loop().remove_reader(pidfd)
    os.close(pidfd)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[WorkerProcess]:
    """Those that were to be, and live on."""
    killed: list[WorkerProcess] = []
    monkeypatch.setattr(WorkerProcess, "kill", lambda process: killed.append(process))
    return killed


def make_bundle(ordinal: int, *indexes: int, claim: int = 1) -> Bundle:
    limits = DecodeLimits(1, 1)
    keys = [TaskKey("job", i, claim) for i in indexes]
    bundle = Bundle(ordinal, tuple(RenderTask(key, "", "", "{}", limits, 1) for key in keys))
    bundle.sent = True
    return bundle


async def test_a_task_is_announced_after_those_whose_report_is_on_its_way(worker: Worker) -> None:
    first, second = make_bundle(1, 0, 1), make_bundle(2, 2, 3)
    worker.bundles = {1: first, 2: second}
    worker.process.notes.write_mark(TaskMark(1, 1))
    assert worker.announce() == [Started(TaskKey("job", i, 1)) for i in (0, 1)]
    worker.process.notes.write_mark(TaskMark(2, 0))
    assert worker.announce() == []
    worker.landed(first)
    assert worker.announce() == [Started(TaskKey("job", 2, 1))]
    assert worker.announce() == []


async def test_only_marks_further_on_where_there_is_a_task_are_believed(worker: Worker) -> None:
    worker.bundles = {1: make_bundle(1, 0, 1)}
    for noted, believed in [
        (TaskMark(1, 0), TaskMark(1, 0)),
        (TaskMark(1, 2), TaskMark(1, 0)),
        (TaskMark(2, 0), TaskMark(1, 0)),
        (TaskMark(1, 1), TaskMark(1, 1)),
        (TaskMark(1, 0), TaskMark(1, 1)),
        (NO_TASK, TaskMark(1, 1)),
    ]:
        worker.process.notes.write_mark(noted)
        assert worker.mark == believed


async def test_whoever_changes_its_mark_back_and_forth_is_past_its_deadline(
    worker: Worker, killed: list[WorkerProcess]
) -> None:
    worker.ready = True
    worker.bundles = {1: make_bundle(1, 0, 1)}
    for position in (0, 1, 0, 1, 0):
        worker.process.notes.write_mark(TaskMark(1, position))
        worker.look(1.0, 3.0)
    assert killed == [worker.process]
    assert worker.sentence == TaskMark(1, 1)


@pytest.mark.parametrize(
    ("noted", "claim", "guilty"),
    [
        (TaskMark(1, 1), 1, 1),
        (NO_TASK, 1, None),  # it died between two tasks, perhaps
        (NO_TASK, MAX_INNOCENT + 1, 0),
        (TaskMark(2, 0), 1, None),  # without an answer to the first
        (TaskMark(2, 0), MAX_INNOCENT + 1, 0),
    ],
)
async def test_who_is_guilty_of_a_death(
    worker: Worker, noted: TaskMark, claim: int, guilty: int | None
) -> None:
    worker.greeting = Greeting(Formats(), Confinement(0))
    worker.bundles = {1: make_bundle(1, 0, 1, claim=claim), 2: make_bundle(2, 2)}
    worker.process.notes.write_mark(noted)
    task = worker.find_guilty()
    assert (task and task.key.index) == guilty


async def test_nobody_pays_for_who_hides_behind_it(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was seen at one of them, went on, and noted that it had not begun."""
    monkeypatch.setattr(WorkerProcess, "kill", lambda _: None)
    worker.greeting = Greeting(Formats(), Confinement(0))
    worker.ready = True
    worker.bundles = {1: make_bundle(1, 0, 1, 2)}
    worker.process.notes.write_mark(TaskMark(1, 1))
    assert worker.mark == TaskMark(1, 1)
    worker.process.notes.write_mark(NO_TASK)
    for _ in range(3):
        worker.look(1.0, 1.0)
    assert (worker.deadline, worker.sentence, worker.find_guilty()) == ("task", None, None)
    worker.process.notes.write_mark(TaskMark(1, 2))
    assert worker.mark == TaskMark(1, 2)
    worker.process.notes.write_mark(NO_TASK)  # now nobody else can have done it
    worker.look(1.0, 1.0)
    worker.look(1.0, 1.0)
    guilty = worker.find_guilty()
    assert (worker.sentence, guilty and guilty.key.index) == (TaskMark(1, 2), 2)


async def test_who_is_alone_hides_behind_nobody(worker: Worker) -> None:
    worker.greeting = Greeting(Formats(), Confinement(0))
    worker.bundles = {1: make_bundle(1, 0), 2: make_bundle(2, 1)}
    worker.process.notes.write_mark(TaskMark(2, 0))
    guilty = worker.find_guilty()
    assert guilty is not None
    assert guilty.key.index == 0


async def test_a_worker_that_notes_no_mark_has_the_same_deadline(
    worker: Worker, killed: list[WorkerProcess]
) -> None:
    worker.ready = True
    worker.bundles = {1: make_bundle(1, 0)}
    for position in range(1, 5):  # where it has no task
        worker.process.notes.write_mark(TaskMark(1, position))
        worker.look(1.0, 3.0)
    assert killed == [worker.process]


async def test_however_long_its_input_is_brought_an_idle_worker_has_no_deadline(
    worker: Worker, killed: list[WorkerProcess]
) -> None:
    bundle = make_bundle(1, 0)
    bundle.sent = False
    worker.ready = True
    worker.bundles = {1: bundle}
    for _ in range(1000):
        worker.look(1.0, 3.0)
    bundle.sent = True
    for _ in range(3):
        worker.look(1.0, 3.0)
    assert (killed, worker.deadline) == ([], None)
    worker.look(1.0, 3.0)
    assert (killed, worker.deadline) == ([worker.process], "stall")


async def test_what_never_reaches_a_worker_puts_off_no_deadline(
    worker: Worker, killed: list[WorkerProcess]
) -> None:
    worker.ready = True
    worker.bundles = {1: make_bundle(1, 0)}
    worker.process.notes.write_mark(TaskMark(1, 0))
    for ordinal in range(2, 6):  # their inputs are gone
        worker.look(1.0, 3.0)
        worker.bundles[ordinal] = make_bundle(ordinal, ordinal)
        worker.bundles[ordinal].sent = False
        worker.landed(worker.bundles[ordinal])
    assert killed == [worker.process]


async def test_what_is_brought_for_long_puts_off_no_deadline_of_who_runs(
    worker: Worker, killed: list[WorkerProcess]
) -> None:
    worker.ready = True
    brought = make_bundle(2, 1)
    brought.sent = False
    worker.bundles = {1: make_bundle(1, 0), 2: brought}
    worker.process.notes.write_mark(TaskMark(1, 0))
    for _ in range(4):
        worker.look(1.0, 3.0)
    assert killed == [worker.process]
    assert worker.sentence == TaskMark(1, 0)


async def test_nobody_pays_for_who_answers_when_its_time_is_over(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WorkerProcess, "kill", lambda _: None)
    worker.greeting = Greeting(Formats(), Confinement(0))
    worker.ready = True
    late = make_bundle(1, 0)
    worker.bundles = {1: late, 2: make_bundle(2, 1, claim=MAX_INNOCENT + 1)}
    worker.process.notes.write_mark(TaskMark(1, 0))
    for _ in range(2):
        worker.look(1.0, 1.0)
    assert worker.sentence == TaskMark(1, 0)
    worker.landed(late)
    assert worker.find_guilty() is None


async def test_who_dies_of_its_first_task_at_once_has_started_all_the_same(worker: Worker) -> None:
    worker._on_death()
    assert not worker.started.is_set()
    worker.process.ready.set_result(Greeting(Formats(), Confinement(0)))
    await worker.started.wait()
    assert worker.greeting is not None
    assert not worker.ready


async def test_nobody_is_guilty_whom_the_worker_never_had(worker: Worker) -> None:
    unsent = make_bundle(1, 0, claim=MAX_INNOCENT + 1)
    unsent.sent = False
    worker.bundles = {1: unsent}
    worker.greeting = Greeting(Formats(), Confinement(0))
    assert worker.find_guilty() is None
    unsent.sent = True
    worker.greeting = None  # it died while it started
    assert worker.find_guilty() is None


@pytest.mark.parametrize(("died_at", "at_task_s"), [(0, 2.0), (1, 0.0)])
async def test_it_is_known_how_long_it_was_at_what_it_died_of_and_at_nothing_before(
    worker: Worker, died_at: int, at_task_s: float
) -> None:
    worker.ready = True
    worker.bundles = {1: make_bundle(1, 0, 1)}
    worker.process.notes.write_mark(TaskMark(1, 0))
    for _ in range(3):
        worker.look(1.0, 9.0)
    worker.process.notes.write_mark(TaskMark(1, died_at))
    worker._on_death()
    assert worker.at_task_s == at_task_s
