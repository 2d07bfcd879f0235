"""Delete a job: its rows first, then its files.

Files left by a crash in between belong to no row and are swept at the next start.
"""

from __future__ import annotations

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.errors import NotFound
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)


class Deleter:
    def __init__(self, store: Store, blobs: BlobStore) -> None:
        self._store = store
        self._blobs = blobs

    async def delete(self, job_id: str) -> None:
        """What still runs is left to end and then thrown away. Raises NotFound."""
        if not await self._store.delete_job(job_id):
            raise NotFound("There is no such job.")
        await self._remove_files(job_id)

    async def delete_expired(self, job_id: str, now_ms: int) -> None:
        """The same for a job whose time is over; one that is gone, or was taken up again
        meanwhile, is left alone.
        """
        if await self._store.delete_job(job_id, expired_at_ms=now_ms):
            await self._remove_files(job_id)

    async def _remove_files(self, job_id: str) -> None:
        await self._blobs.delete_job(job_id)
        log.info("job_deleted", job_id=job_id)
