"""Files that no row names: what a crash leaves between a file and its row, or a delete."""

from __future__ import annotations

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.store.store import Store

_BATCH = 500


async def sweep_orphans(store: Store, blobs: BlobStore) -> int:
    """Remove folders of jobs that do not exist, and outputs that were in place when a crash
    came before their row; returns how many.

    Only at start, before anything is received or dispatched: until then a folder or an
    output may be about to get its row.
    """
    return await _sweep_folders(store, blobs) + await _sweep_outputs(store, blobs)


async def _sweep_outputs(store: Store, blobs: BlobStore) -> int:
    """Only jobs with images to be done again can have such outputs."""
    swept = 0
    for job_id, _, _ in await store.jobs_with_pending():
        known = {
            blobs.output_name(image.id, image.claim, output.variant, output.format)
            async for image in store.iter_images(job_id)
            for output in image.outputs
        }
        swept += await blobs.sweep_outputs(job_id, known)
    return swept


async def _sweep_folders(store: Store, blobs: BlobStore) -> int:
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
