"""What is put right when the server starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.store.changes import change_jobs, tell_deleted
from imgsvc.store.rows import images_from_rows, job_from_row
from imgsvc.store.sql import IMAGES, JOBS
from imgsvc.store.writer import Transaction


@dataclass(frozen=True, slots=True)
class Recovered:
    """images: how many wait again. hidden_jobs: those whose submit never ended; their rows
    are gone, their folders are the caller's to remove.
    """

    images: int
    hidden_jobs: tuple[str, ...]


async def recover(tx: Transaction, now_ms: int) -> Recovered:
    """Remove half-submitted jobs, and let what was being worked on wait again."""
    hidden = [job_from_row(row) for row in await tx.fetch(JOBS["hidden_jobs"], {})]
    for job in hidden:
        await tx.fetch(JOBS["delete_job"], {"id": job.id})
        tell_deleted(tx, job)
    images = await images_from_rows(await tx.fetch(IMAGES["recover_images"], {}))
    await change_jobs(tx, images, _unchanged, now_ms)
    return Recovered(len(images), tuple(job.id for job in hidden))


def _unchanged(job: Job, _images: Sequence[Image]) -> Job:
    return job
