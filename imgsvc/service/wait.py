"""Wait for a job's end, for a while."""

from __future__ import annotations

import asyncio

from imgsvc.domain.job import Job
from imgsvc.progress.hub import Hub, HubClosed
from imgsvc.store.store import Store


class Waiter:
    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub

    async def wait(self, job_id: str, timeout_s: float) -> Job:
        """The job when it is final, or as it is after `timeout_s`. Raises NotFound."""
        with self._hub.watch(job_id) as reader:
            job = await self._store.job(job_id)
            try:
                async with asyncio.timeout(timeout_s):
                    while not job.state.is_final:
                        last = (await reader.take())[-1]
                        job = last.job
                        if last.deleted:
                            break
            except (TimeoutError, HubClosed):
                pass
        return await self._store.job(job_id)
