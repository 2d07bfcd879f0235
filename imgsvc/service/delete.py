"""Delete a job: its rows first, then its files.

Files left by a crash in between belong to no row and are swept at the next start. Where the
database has no space to note even this, what was kept aside for it is given up; where that is
too little, the files go first: it is they that make room. The job is hidden before that, which
takes hardly any space: a start misses nothing of it, and removes what is left.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.errors import NotFound, StorageFull
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)


class Deleter:
    def __init__(self, store: Store, blobs: BlobStore) -> None:
        self._store = store
        self._blobs = blobs
        self._dropped: set[str] = set()

    async def delete(self, job_id: str) -> None:
        """What still runs is left to end and then thrown away. Raises NotFound, and StorageFull
        when even its files did not make room enough; its rows go later then.
        """
        if not await self._remove_rows(job_id):
            raise NotFound("There is no such job.")
        self._dropped.discard(job_id)
        await self._remove_files(job_id)

    async def delete_expired(self, job_id: str, now_ms: int) -> None:
        """The same for a job whose time is over; one that is gone, or was taken up again
        meanwhile, is left alone.
        """
        if await self._remove_rows(job_id, expired_at_ms=now_ms):
            await self._remove_files(job_id)

    async def drop(self, job_id: str) -> None:
        """Remove the rows of a job that was never shown; its files are its stage's. Where there
        is no space even for that, `drop_rest` does it later.
        """
        self._dropped.add(job_id)
        with suppress(StorageFull):
            await self._drop(job_id)

    async def drop_rest(self, _now: int) -> int:
        """What could not be dropped at once; returns how many jobs. Raises StorageFull."""
        rest = list(self._dropped)
        for job_id in rest:
            await self._drop(job_id)
        return len(rest)

    async def _drop(self, job_id: str) -> None:
        await self._remove_rows(job_id)
        self._dropped.discard(job_id)

    async def _remove_rows(self, job_id: str, expired_at_ms: int | None = None) -> bool:
        """Whether there was a job to be removed."""
        remove = partial(self._store.delete_job, job_id, expired_at_ms=expired_at_ms)
        with suppress(StorageFull):
            return await remove()
        await self._blobs.give_up_ballast()
        with suppress(StorageFull):
            return await remove()
        is_hidden = await self._hide(job_id, expired_at_ms)
        if is_hidden is False:
            return False
        await self._blobs.delete_job(job_id)
        return await remove() or bool(is_hidden)  # `drop_rest` may have been quicker

    async def _hide(self, job_id: str, expired_at_ms: int | None) -> bool | None:
        """Nobody may take it up again without its files. False when there is no such job; None
        where there is no space to find out.
        """
        try:
            is_hidden = await self._store.hide_job(job_id, expired_at_ms)
        except StorageFull:
            if expired_at_ms is not None:
                raise
            return None  # whoever asks for it has nothing else that makes room
        if is_hidden and expired_at_ms is None:
            self._dropped.add(job_id)
        return is_hidden

    async def _remove_files(self, job_id: str) -> None:
        await self._blobs.delete_job(job_id)
        log.info("job_deleted", job_id=job_id)
