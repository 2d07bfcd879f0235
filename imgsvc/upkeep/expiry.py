"""Jobs whose time to be kept is over are deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from imgsvc.store.store import Store
from imgsvc.upkeep.rounds import repeat

EVERY_S = 5.0
BATCH = 100


class Expiry:
    """delete: removes a job if it is expired at a time (milliseconds since 1970); it may be
    gone already, or have been taken up again.
    """

    def __init__(self, store: Store, delete: Callable[[str, int], Awaitable[None]]) -> None:
        self._store = store
        self._delete = delete

    async def run(self) -> None:
        await repeat(self.run_once, EVERY_S)

    async def run_once(self, now: int) -> int:
        """Delete a batch of the jobs expired at `now`; returns how many."""
        expired = await self._store.expired_jobs(now, BATCH)
        for job_id in expired:
            await self._delete(job_id, now)
        return len(expired)
