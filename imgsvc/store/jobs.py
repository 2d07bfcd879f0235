"""Changes to a job as a whole: create, append, close, show, delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imgsvc.domain.image import Image, NewImage
from imgsvc.domain.job import Job, JobChange, NewJob
from imgsvc.domain.product_list import ProductRow
from imgsvc.domain.states import JobState
from imgsvc.domain.watched import TakenFile
from imgsvc.errors import JobClosed, NotFound, TooManyImages
from imgsvc.store import ledger
from imgsvc.store.announcements import announce, keep_webhook
from imgsvc.store.changes import change_job, load_job, tell_deleted
from imgsvc.store.folder_files import is_undelivered, take_files
from imgsvc.store.keys import NewKey, insert_key
from imgsvc.store.product_lists import keep_list, keep_rows
from imgsvc.store.rows import image_from_new, job_parameters, new_image_parameters
from imgsvc.store.sql import IMAGES, JOBS
from imgsvc.store.watermarks import pin_watermarks
from imgsvc.store.writer import Transaction


async def create_job(
    tx: Transaction,
    new: NewJob,
    new_images: Sequence[NewImage],
    now_ms: int,
    rows: Sequence[ProductRow] = (),
) -> Job:
    """Store a job with its first images; without any to wait for it is final at once,
    unless it is open.

    rows: of its product list, to which the images belong. Raises InvalidRecipe when a
    watermark that the recipe needs is gone.
    """
    empty = _empty_job(new, now_ms)
    images, parameters = await tx.compute(_prepare, empty, new_images, now_ms)
    job = ledger.settle(ledger.count_new(empty, images), now_ms)
    await tx.fetch(JOBS["insert_job"], job_parameters(job))
    await pin_watermarks(tx, job.id, job.recipe)
    if new.webhook is not None:
        await keep_webhook(tx, job.id, new.webhook)
    if new.product_list is not None:
        await keep_list(tx, job.id, new.product_list)
        await keep_rows(tx, job.id, rows)
    if images:
        await tx.run_many(IMAGES["insert_image"], parameters)
    await announce(tx, job, images)
    # Nobody can have been watching the images of a job that was not there.
    tx.changes.append(JobChange(job))
    return job


async def append_images(
    tx: Transaction,
    job_id: str,
    new_images: Sequence[NewImage],
    now_ms: int,
    max_images: int | None = None,
    key: NewKey | None = None,
    rows: Sequence[ProductRow] = (),
) -> tuple[Job, list[tuple[int, str]]]:
    """Add images to an open job; returns their indexes and names.

    max_images: how many the job may have in all; None for any number. key: to be kept
    with it. rows: as in `create_job`. Raises NotFound, JobClosed, TooManyImages.
    """
    job = await load_job(tx, job_id)
    if not job.open:
        raise JobClosed("The job takes no more images")
    if max_images is not None and job.total + len(new_images) > max_images:
        raise TooManyImages(f"A job takes at most {max_images} images")
    if not new_images:
        return job, []
    images, parameters = await tx.compute(_prepare, job, new_images, now_ms)
    await tx.run_many(IMAGES["insert_image"], parameters)
    await keep_rows(tx, job_id, rows)
    await tx.fetch(JOBS["note_append"], {"id": job_id, "now_ms": now_ms})
    job = await change_job(tx, ledger.count_new(job, images), images)
    accepted = [(image.index, image.name) for image in images]
    if key is not None:
        await insert_key(tx, key, job_id, accepted)
    return job, accepted


async def close_job(
    tx: Transaction,
    job_id: str,
    now_ms: int,
    key: NewKey | None = None,
    taken: Sequence[TakenFile] = (),
) -> Job:
    """Take no more images, and be visible; keep `key`, and what was taken of a watched folder,
    with it. Raises NotFound.
    """
    job = await load_job(tx, job_id)
    await take_files(tx, job_id, taken)
    if key is not None:
        await insert_key(tx, key, job_id)
    closed = ledger.settle(replace(job, open=False, hidden=False), now_ms)
    return job if closed == job else await change_job(tx, closed)


async def show_job(tx: Transaction, job_id: str, key: NewKey | None = None) -> Job:
    """Make a hidden job visible, as open as it is; keep `key` with it. Raises NotFound."""
    job = await load_job(tx, job_id)
    if key is not None:
        await insert_key(tx, key, job_id)
    return await change_job(tx, replace(job, hidden=False)) if job.hidden else job


async def close_idle_job(
    tx: Transaction, job_id: str, idle_since_ms: int, now_ms: int
) -> Job | None:
    """Close a job that has been open without an append since then; None for any other."""
    parameters = {"id": job_id, "before_ms": idle_since_ms}
    if not await tx.fetch(JOBS["is_idle"], parameters):
        return None
    return await close_job(tx, job_id, now_ms)


async def delete_job(tx: Transaction, job_id: str, expired_at_ms: int | None = None) -> bool:
    """Remove a job and its images; False when there is none.

    expired_at_ms: leave it alone unless it is expired at that time, and nothing of it waits to
    be put into a watched folder's results; None removes any.
    """
    return await _remove(tx, "delete_job", job_id, expired_at_ms)


async def hide_job(tx: Transaction, job_id: str, expired_at_ms: int | None = None) -> bool:
    """Let a job be seen by nobody any more, before it loses its files; False as `delete_job`."""
    return await _remove(tx, "hide_job", job_id, expired_at_ms)


async def _remove(tx: Transaction, statement: str, job_id: str, expired_at_ms: int | None) -> bool:
    try:
        job = await load_job(tx, job_id)
    except NotFound:
        return False
    if expired_at_ms is not None and (job.expires_at is None or job.expires_at > expired_at_ms):
        return False
    if expired_at_ms is not None and await is_undelivered(tx, job_id):
        return False
    await tx.fetch(JOBS[statement], {"id": job_id})
    tell_deleted(tx, job)
    return True


def _empty_job(new: NewJob, now_ms: int) -> Job:
    return Job(
        id=new.id,
        state=JobState.PENDING,
        label=new.label,
        priority=new.priority,
        preset=new.preset,
        recipe=new.recipe,
        open=new.open,
        hidden=new.hidden,
        source=new.source,
        total=0,
        completed=0,
        failed=0,
        cancelled=0,
        input_bytes=0,
        output_bytes=0,
        errors={},
        reuse=new.reuse,
        analyze=new.analyze,
        retain_s=new.retain_s,
        remaining_ms=0,
        seq=1,
        created_at=now_ms,
        started_at=None,
        finished_at=None,
        expires_at=None,
        announces=frozenset() if new.webhook is None else new.webhook.events,
    )


def _prepare(
    job: Job, new_images: Sequence[NewImage], now_ms: int
) -> tuple[list[Image], list[dict[str, object]]]:
    images = [
        image_from_new(job.id, index, new, now_ms)
        for index, new in enumerate(new_images, start=job.total)
    ]
    return images, [new_image_parameters(image, job.priority) for image in images]
