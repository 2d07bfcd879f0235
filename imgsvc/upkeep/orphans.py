"""Files that no row names: what a crash leaves between a file and its row, or a delete."""

from __future__ import annotations

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.domain.states import ImageState
from imgsvc.domain.times import now_ms
from imgsvc.store.store import Store

_BATCH = 500

_RECENT_MS = 2 * 60 * 1000
"""How long after its end something may still come in for a job: late results of what was
cancelled, files of an append that found it closed.
"""


async def sweep_orphans(
    store: Store, blobs: BlobStore, *, keep_inputs: bool, after_crash: bool
) -> int:
    """Remove folders of jobs that do not exist, and files without a row in the others: those
    that have images to be made, and after a crash all that it can have touched; and watermarks
    without a row. Returns how many.

    Only at start, before anything is received or dispatched: until then a folder or a file
    may be about to get its row.

    keep_inputs: False when inputs of completed images are dropped.
    """
    swept = await _sweep_folders(store, blobs)
    swept += await blobs.sweep_watermarks(await store.watermark_files())
    if after_crash:
        job_ids = await store.lately_active_jobs(_RECENT_MS, now_ms())
    else:
        job_ids = await store.jobs_with_pending()
    for job_id in job_ids:
        swept += await _sweep_job(store, blobs, job_id, keep_inputs=keep_inputs)
    return swept


async def _sweep_job(store: Store, blobs: BlobStore, job_id: str, *, keep_inputs: bool) -> int:
    inputs: set[str] = set()
    outputs: set[str] = set()
    async for image in store.iter_images(job_id):
        if keep_inputs or image.state is not ImageState.COMPLETED:
            inputs.add(image.id)
        outputs.update(
            blobs.output_name(image.id, image.claim, output.variant, output.format)
            for output in image.outputs
        )
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
