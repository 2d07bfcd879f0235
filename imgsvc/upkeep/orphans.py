"""Files that no row names: what a crash leaves between a file and its row, or a delete."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.store.store import Store

_BATCH = 500

MAX_IMAGES = 10_000
"""So many are in memory together, or those of a single job that has more."""


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
    for batch in _batches(sorted(job_ids)):
        for group in _groups(batch, await store.job_totals(batch)):
            swept += await _sweep_jobs(store, blobs, group, keep_inputs=keep_inputs)
    return swept


async def _sweep_jobs(
    store: Store, blobs: BlobStore, job_ids: Collection[str], *, keep_inputs: bool
) -> int:
    inputs: dict[str, set[str]] = {job_id: set() for job_id in job_ids}
    outputs: dict[str, set[str]] = {job_id: set() for job_id in job_ids}
    for image in await store.image_files(job_ids):
        if keep_inputs or not image.is_completed:
            inputs[image.job_id].add(image.image_id)
        outputs[image.job_id].update(
            blobs.output_name(image.image_id, image.claim, variant, format_)
            for variant, format_, _ in image.outputs
        )
    return await blobs.sweep_outputs(outputs) + await blobs.sweep_inputs(inputs)


async def _sweep_folders(store: Store, blobs: BlobStore) -> int:
    swept = 0
    for batch in _batches(sorted(await blobs.job_folders())):
        known = await store.job_ids(batch)
        for name in batch:
            if name not in known:
                await blobs.delete_job(name)
                swept += 1
    return swept


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]


def _groups(job_ids: Sequence[str], totals: Mapping[str, int]) -> Iterator[list[str]]:
    """Jobs that have no more images together than may be in memory."""
    group: list[str] = []
    images = 0
    for job_id in job_ids:
        total = totals.get(job_id, 0)
        if group and images + total > MAX_IMAGES:
            yield group
            group, images = [], 0
        group.append(job_id)
        images += total
    if group:
        yield group
