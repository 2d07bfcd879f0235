"""Files that no row names: what a crash leaves between a file and its row, or a delete."""

from __future__ import annotations

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.store.store import Store

_BATCH = 500
_ALWAYS_MS = 1 << 53
"""Later than any append."""
_MOST_OPEN_JOBS = 100_000


async def sweep_orphans(store: Store, blobs: BlobStore) -> int:
    """Remove folders of jobs that do not exist, and outputs and appended images that were in
    place when a crash came before their row; returns how many.

    Only at start, before anything is received or dispatched: until then a folder or an
    output may be about to get its row.
    """
    swept = await _sweep_folders(store, blobs)
    swept += await _sweep_outputs(store, blobs)
    return swept + await _sweep_appends(store, blobs)


async def _sweep_outputs(store: Store, blobs: BlobStore) -> int:
    """Only jobs with images to be done again can have such outputs."""
    swept = 0
    for job_id in await store.jobs_with_pending():
        known = {
            blobs.output_name(image.id, image.claim, output.variant, output.format)
            async for image in store.iter_images(job_id)
            for output in image.outputs
        }
        swept += await blobs.sweep_outputs(job_id, known)
    return swept


async def _sweep_appends(store: Store, blobs: BlobStore) -> int:
    """Only open jobs can have been appended to."""
    swept = 0
    for job_id in await store.idle_open_jobs(_ALWAYS_MS, _MOST_OPEN_JOBS):
        known = {image.id async for image in store.iter_images(job_id)}
        swept += await blobs.sweep_inputs(job_id, known)
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
