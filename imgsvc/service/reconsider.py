"""What one decides about a job later: close it, cancel what is left, try again what failed."""

from __future__ import annotations

from collections.abc import Callable, Collection

from imgsvc.dispatch.dispatcher import Dispatcher
from imgsvc.domain.job import Job
from imgsvc.domain.times import now_ms
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)


class Reconsiderer:
    """end_pauses: has those of some hosts be asked again that are left alone."""

    def __init__(
        self, store: Store, dispatcher: Dispatcher, end_pauses: Callable[[Collection[str]], None]
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._end_pauses = end_pauses

    async def close(self, job_id: str) -> Job:
        """Take no more images; a job that is closed stays as it is. Raises NotFound."""
        before = await self._store.job(job_id)
        job = await self._store.close_job(job_id, now_ms())
        if before.open:
            log.info("job_closed", job_id=job_id, images=job.total, bytes=job.input_bytes)
        return job

    async def cancel(self, job_id: str) -> Job:
        """Cancel every image that is not final; what still runs is thrown away when it ends.

        A job that is final stays as it is. Raises NotFound.
        """
        job = await self._store.job(job_id)
        if job.state.is_final:
            return job
        job = await self._store.cancel_job(job_id, now_ms())
        log.info("job_cancelled", job_id=job_id, images=job.cancelled)
        return job

    async def retry(
        self,
        job_id: str,
        *,
        codes: Collection[str] | None = None,
        indexes: Collection[int] | None = None,
    ) -> Job:
        """Let failed and cancelled images wait for a first try again, also where their host
        is left alone.

        codes: only those that failed so; indexes: only these; None: all. An image of which
        nothing was kept (empty, too large, broken base64) fails again. Raises NotFound.
        """
        await self._store.job(job_id)
        hosts = await self._store.hosts_to_retry(job_id, codes=codes, indexes=indexes)
        self._end_pauses(hosts)  # first: who waits for a host for long would fail at once
        job = await self._store.retry_images(job_id, codes=codes, indexes=indexes)
        if job.finished_images < job.total:
            self._dispatcher.job_has_work(job)
        return job
