"""Jobs whose time to be kept is over are deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from imgsvc.domain.times import now_ms
from imgsvc.errors import NotFound
from imgsvc.store.store import Store

EVERY_S = 30.0
BATCH = 100


class Expiry:
    """delete: removes a job; raises NotFound when it is gone already."""

    def __init__(self, store: Store, delete: Callable[[str], Awaitable[None]]) -> None:
        self._store = store
        self._delete = delete

    async def run(self) -> None:
        while True:
            if not await self.run_once(now_ms()):
                await asyncio.sleep(EVERY_S)

    async def run_once(self, now: int) -> int:
        """Delete a batch of the jobs expired at `now`; returns how many."""
        expired = await self._store.expired_jobs(now, BATCH)
        for job_id in expired:
            try:
                await self._delete(job_id)
            except NotFound:
                continue  # deleted by somebody else meanwhile
        return len(expired)
