"""The step that ends every state change: the jobs follow their images, in the same commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from imgsvc.domain.image import Image
from imgsvc.domain.job import Job, JobChange
from imgsvc.errors import NotFound
from imgsvc.store import ledger
from imgsvc.store.announcements import announce
from imgsvc.store.rows import dump_json, job_from_row, job_parameters
from imgsvc.store.sql import JOBS
from imgsvc.store.writer import Transaction

_MANY = 200
"""More images than this are numbered in a thread."""

Adjust = Callable[[Job, Sequence[Image]], Job]


def no_such_job() -> NotFound:
    return NotFound("There is no such job.")


async def load_job(tx: Transaction, job_id: str) -> Job:
    """The job, hidden or not. Raises NotFound."""
    rows = await tx.fetch(JOBS["job"], {"id": job_id, "hidden": 1})
    if not rows:
        raise no_such_job()
    return job_from_row(rows[0])


async def change_job(tx: Transaction, job: Job, images: Sequence[Image] = ()) -> Job:
    """Number the changed images and the job, save the job, and tell of it.

    job: as it shall be, but with the `seq` it had. Returns it with the new one.
    """
    if len(images) > _MANY:
        change = await tx.compute(ledger.number, job, images)
    else:
        change = ledger.number(job, images)
    await tx.fetch(JOBS["save_job"], job_parameters(change.job))
    await announce(tx, change.job, images)
    tx.changes.append(change)
    return change.job


async def change_jobs(
    tx: Transaction, images: Sequence[Image], adjust: Adjust, now_ms: int
) -> list[Job]:
    """The same for all jobs of `images`, which are as they are after their change."""
    by_job: dict[str, list[Image]] = {}
    for image in images:
        by_job.setdefault(image.job_id, []).append(image)
    if not by_job:
        return []
    rows = await tx.fetch(JOBS["jobs_by_ids"], {"ids": dump_json(list(by_job))})
    changes: list[JobChange] = []
    for row in rows:
        job = job_from_row(row)
        changed = by_job[job.id]
        changes.append(ledger.number(ledger.settle(adjust(job, changed), now_ms), changed))
    await tx.run_many(JOBS["save_job"], [job_parameters(change.job) for change in changes])
    for change in changes:
        await announce(tx, change.job, by_job[change.job.id])
    tx.changes += changes
    return [change.job for change in changes]


def tell_deleted(tx: Transaction, job: Job) -> None:
    """Tell that the job is gone."""
    tx.changes.append(JobChange(replace(job, seq=job.seq + 1), deleted=True))
