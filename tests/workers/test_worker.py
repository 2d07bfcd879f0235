"""What a worker says of the bundles that it holds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from imgsvc.domain.rendering import DecodeLimits, RenderTask, Started, TaskKey
from imgsvc.workers.bundle import Bundle
from imgsvc.workers.notes import Notes, Place
from imgsvc.workers.process import WorkerProcess
from imgsvc.workers.report import Greeting
from imgsvc.workers.worker import Worker


class UnusedExecutor:
    """Takes no call; the notes are all that these tests move."""


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    ready: Future[Greeting] = Future()
    pidfd = os.pidfd_open(os.getpid())
    process = WorkerProcess(
        UnusedExecutor(),  # type: ignore[arg-type]
        os.getpid(),
        pidfd,
        await asyncio.to_thread(Notes),
        None,  # type: ignore[arg-type]
        tmp_path / "stderr",
        ready,
    )
    yield Worker(process, lambda _: None)
    asyncio.get_running_loop().remove_reader(pidfd)
    os.close(pidfd)


def make_bundle(ordinal: int, *indexes: int) -> Bundle:
    limits = DecodeLimits(1, 1)
    return Bundle(
        ordinal, tuple(RenderTask(TaskKey("job", i, 1), "", "", "{}", limits, 1) for i in indexes)
    )


async def test_a_task_is_announced_after_those_whose_report_is_on_its_way(worker: Worker) -> None:
    first, second = make_bundle(1, 0, 1), make_bundle(2, 2, 3)
    worker.bundles = {1: first, 2: second}
    worker.process.notes.write_place(Place(1, 1))
    assert worker.announce() == [Started(TaskKey("job", i, 1)) for i in (0, 1)]
    worker.process.notes.write_place(Place(2, 0))
    assert worker.announce() == []
    worker.landed(first)
    assert worker.announce() == [Started(TaskKey("job", 2, 1))]
    assert worker.announce() == []
