"""Files that no row names: what a crash leaves between a file and its row, or a delete."""

from __future__ import annotations

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.store.store import Store

_BATCH = 500


async def sweep_orphans(
    store: Store, blobs: BlobStore, *, keep_inputs: bool, since_ns: int | None
) -> int:
    """Remove folders of jobs that do not exist, and files without a row in the others: those
    that have images to be made, and after a crash all that it can have touched; and watermarks
    without a row. Returns how many.

    Only at start, before anything is received or dispatched: until then a folder or a file
    may be about to get its row.

    keep_inputs: False when inputs of completed images are dropped. since_ns: when what has crashed
    began, as of `BlobStore.jobs_changed_since`; None when nothing has.
    """
    swept = await _sweep_folders(store, blobs)
    swept += await blobs.sweep_watermarks(await store.watermark_files())
    job_ids = set(await store.jobs_with_pending())
    if since_ns is not None:
        job_ids.update(await blobs.jobs_changed_since(since_ns))
    for job_id in job_ids:
        swept += await _sweep_job(store, blobs, job_id, keep_inputs=keep_inputs)
    return swept


async def _sweep_job(store: Store, blobs: BlobStore, job_id: str, *, keep_inputs: bool) -> int:
    images = await store.image_files(job_id)
    inputs = {image.image_id for image in images if keep_inputs or not image.is_completed}
    outputs = {
        blobs.output_name(image.image_id, image.claim, variant, format_)
        for image in images
        for variant, format_, _ in image.outputs
    }
    swept = await blobs.sweep_outputs(job_id, outputs)
    return swept + await blobs.sweep_inputs(job_id, inputs)


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
