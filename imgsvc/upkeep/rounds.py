"""The rhythms of upkeep."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from imgsvc.domain.times import now_ms
from imgsvc.errors import StorageFull
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)


async def repeat(run_once: Callable[[int], Awaitable[int]], every_s: float) -> None:
    """For ever, and again at once while there is something to do. A full disk is waited for:
    it is upkeep that makes room on it.

    run_once: given the time in milliseconds, does a batch; returns how much that was.
    """
    while True:
        try:
            done = await run_once(now_ms())
        except StorageFull:
            log.warning("storage_full", what="upkeep")
            done = 0
        if not done:
            await asyncio.sleep(every_s)


async def keep_looking(run_once: Callable[[], Awaitable[object]], every_s: float) -> None:
    """For ever, whether or not there was something to do; a full disk is waited for."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await run_once()
        except StorageFull:
            log.warning("storage_full", what="upkeep")
