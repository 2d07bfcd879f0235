"""Open jobs that nobody has added to for a while close by themselves."""

from __future__ import annotations

from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger
from imgsvc.upkeep.rounds import repeat

log = get_logger(__name__)

EVERY_S = 5.0
BATCH = 100


class IdleJobs:
    """idle_s: how long after the last append an open job is closed."""

    def __init__(self, store: Store, *, idle_s: int) -> None:
        self._store = store
        self._idle_s = idle_s

    async def run(self) -> None:
        await repeat(self.run_once, EVERY_S)

    async def run_once(self, now: int) -> int:
        """Close a batch of the jobs that are idle at `now`; returns how many."""
        idle_since = now - self._idle_s * 1000
        idle = await self._store.idle_open_jobs(idle_since, BATCH)
        for job_id in idle:
            job = await self._store.close_idle_job(job_id, idle_since, now)
            if job is not None:
                facts = {"images": job.total, "bytes": job.input_bytes, "idle_s": self._idle_s}
                log.info("job_closed", job_id=job_id, **facts)
        return len(idle)
