"""Open jobs that nobody has added to for a while close by themselves."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from imgsvc.domain.times import now_ms
from imgsvc.errors import NotFound
from imgsvc.store.store import Store

EVERY_S = 30.0
BATCH = 100


class IdleJobs:
    """idle_s: how long after the last append an open job is closed."""

    def __init__(self, store: Store, *, idle_s: int) -> None:
        self._store = store
        self._idle_s = idle_s

    async def run(self) -> None:
        while True:
            if not await self.run_once(now_ms()):
                await asyncio.sleep(EVERY_S)

    async def run_once(self, now: int) -> int:
        """Close a batch of the jobs that are idle at `now`; returns how many."""
        idle = await self._store.idle_open_jobs(now - self._idle_s * 1000, BATCH)
        for job_id in idle:
            with suppress(NotFound):  # deleted by somebody meanwhile
                await self._store.close_job(job_id, now)
        return len(idle)
