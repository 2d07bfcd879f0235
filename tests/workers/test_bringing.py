"""The parent brings a bundle to its child: neither a worker nor an image pays for how it goes."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import threading
import time
from typing import Any

import pytest

from imgsvc.domain.rendering import LossCause, Rendered, RenderFailed
from imgsvc.workers import process
from imgsvc.workers.scratch import Scratch
from tests.workers.conftest import Gate, Pools

LOOKS = 45
"""At a second each they are longer than any deadline of these pools."""


def _refuse_link(*_: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


@pytest.mark.parametrize("slow", [(shutil, "copyfile"), (process, "pack")])
async def test_a_worker_waits_for_its_bundle_as_long_as_it_takes(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch, slow: tuple[Any, str]
) -> None:
    """As where a share is slow."""
    pool = await open_pool(timeout_s=5.0)
    await pool.ready()
    looked, may_go_on = asyncio.Event(), threading.Event()
    looks = 0

    def hurry_s() -> float:
        nonlocal looks
        looks += 1
        if looks == LOOKS:
            looked.set()
        return time.monotonic() + min(looks, LOOKS)

    do = getattr(*slow)

    def take_long(*arguments: Any) -> Any:
        may_go_on.wait()
        return do(*arguments)

    monkeypatch.setattr(os, "link", _refuse_link)
    monkeypatch.setattr(*slow, take_long)
    monkeypatch.setattr("imgsvc.workers.pool.monotonic", hurry_s)
    submitting = asyncio.create_task(pool.submit("ok"))
    lost = asyncio.create_task(pool.until(lambda: bool(pool.causes())))
    looks_done = asyncio.create_task(looked.wait())
    await asyncio.wait([lost, looks_done], return_when=asyncio.FIRST_COMPLETED)
    may_go_on.set()
    lost.cancel()
    (key,) = await submitting
    await pool.ended([key])
    assert pool.causes() == {}
    assert isinstance(pool.finished(key).outcome, Rendered)
    assert pool.pool.workers()[0].restarts == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
async def test_a_call_that_cannot_be_written_costs_neither_its_images_nor_who_runs(
    open_pool: Pools, gate: Gate, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    pool = await open_pool()
    running = await pool.begin(gate.content)
    with monkeypatch.context() as patch:
        patch.setattr(process, "pack", refuse)
        outcomes = await pool.finish("ok", "ok")
    assert {
        isinstance(outcome, RenderFailed) and str(outcome.failure.code) for outcome in outcomes
    } == {"storage_full"}
    assert len(list(pool.pool._folder.glob("*.in/*"))) == 1
    gate.open()
    await pool.ended([running])
    assert isinstance(pool.finished(running).outcome, Rendered)
    assert pool.pool.workers()[0].restarts == 0


async def test_folders_that_are_gone_when_a_bundle_comes_cost_nobody_a_try(
    open_pool: Pools, gate: Gate
) -> None:
    pool = await open_pool()
    running = await pool.begin(gate.content)
    await asyncio.to_thread(shutil.rmtree, pool.pool._folder)
    (queued,) = await pool.submit("ok")
    await pool.ended([running, queued])
    assert pool.causes() == dict.fromkeys((running, queued), LossCause.INNOCENT)
    await pool.finish("ok")


@pytest.mark.parametrize("when", ["after its funeral", "during its funeral"])
async def test_what_is_brought_after_its_worker_has_died_does_not_stay(
    open_pool: Pools, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    pool = await open_pool()
    await pool.ready()
    copying, may_go_on, copy = asyncio.Event(), threading.Event(), shutil.copyfile
    handed_over, remove, loop = threading.Event(), Scratch.remove_all_of, asyncio.get_running_loop()

    def take_long(source: str, destination: str) -> None:
        loop.call_soon_threadsafe(copying.set)
        may_go_on.wait()
        copy(source, destination)

    def remove_too_early(scratch: Scratch, tasks: Any, ordinals: Any = ()) -> None:
        remove(scratch, tasks, ordinals)
        if ordinals and when == "during its funeral":
            may_go_on.set()
            handed_over.wait()

    monkeypatch.setattr(os, "link", _refuse_link)
    monkeypatch.setattr(shutil, "copyfile", take_long)
    monkeypatch.setattr(Scratch, "remove_all_of", remove_too_early)
    monkeypatch.setattr("imgsvc.workers.worker.SETTLE_TIMEOUT_S", 0.1)
    submitting = asyncio.create_task(pool.submit("ok"))
    submitting.add_done_callback(lambda _: handed_over.set())
    (worker,) = pool.pool.workers()
    assert worker.pid is not None
    await copying.wait()
    os.kill(worker.pid, signal.SIGKILL)
    await pool.until(lambda: bool(pool.causes()))
    may_go_on.set()
    (key,) = await submitting
    assert pool.causes() == {key: LossCause.INNOCENT}
    await pool.pool.drain(5)
    assert list(pool.pool._folder.glob("*.in/*")) == []
