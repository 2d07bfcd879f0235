"""Files that no row names: what a crash leaves between a file and its row, or a delete."""

from __future__ import annotations

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.store.store import Store

_BATCH = 500


async def sweep_orphans(store: Store, blobs: BlobStore) -> int:
    """Remove folders of jobs that do not exist; returns how many.

    Only at start, before anything is received: a submit's folder has no row until its
    first images are durable.
    """
    names = sorted(await blobs.job_folders())
    swept = 0
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        known = await store.job_ids(batch)
        for name in batch:
            if name not in known:
                await blobs.delete_job(name)
                swept += 1
    return swept
