"""The rhythms of upkeep."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from imgsvc.domain.times import now_ms
from imgsvc.store.full_disk import FullDisk


async def repeat(run_once: Callable[[int], Awaitable[int]], every_s: float) -> None:
    """For ever, and again at once while there is something to do. A full disk is waited for:
    it is upkeep that makes room on it.

    run_once: given the time in milliseconds, does a batch; returns how much that was.
    """
    disk = _disk()
    while True:
        done = 0
        with disk:
            done = await run_once(now_ms())
        if not done:
            await asyncio.sleep(every_s)


async def keep_looking(run_once: Callable[[], Awaitable[object]], every_s: float) -> None:
    """For ever, whether or not there was something to do; a full disk is waited for."""
    disk = _disk()
    while True:
        await asyncio.sleep(every_s)
        with disk:
            await run_once()


def _disk() -> FullDisk:
    task = asyncio.current_task()
    return FullDisk(task.get_name() if task else "upkeep")
