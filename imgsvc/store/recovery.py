"""What is put right when the server starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.retries import (
    DEATH_AT_WORK,
    MAX_INTERRUPTIONS,
    SUSPECT_AFTER,
    TOOK_THE_SERVER_DOWN,
)
from imgsvc.store import ledger
from imgsvc.store.changes import change_jobs, tell_deleted
from imgsvc.store.rows import dump_json, job_from_row
from imgsvc.store.sql import IMAGES, JOBS
from imgsvc.store.writer import Transaction


@dataclass(frozen=True, slots=True)
class Recovered:
    """images: how many wait again. hidden_jobs: those whose submit, or removal, never
    ended; their rows are gone, their folders are the caller's to remove. guilty: how many images
    were alone with the server when it died, once too often, and are not tried again.
    """

    images: int
    hidden_jobs: tuple[str, ...]
    guilty: int = 0


async def recover(
    tx: Transaction, now_ms: int, died: bool = False, held: Sequence[str] = ()
) -> Recovered:
    """Remove half-submitted and half-removed jobs, and let what was being worked on wait again.

    died: whether the last server ended without having been asked to. held: what workers were
    at then, each as `<job>-<index>-<claim>`.
    """
    hidden = [job_from_row(row) for row in await tx.fetch(JOBS["hidden_jobs"], {})]
    for job in hidden:
        await tx.fetch(JOBS["delete_job"], {"id": job.id})
        tell_deleted(tx, job)
    guilty = await _blame(tx, now_ms, held) if died else 0
    images = await tx.fetch_images(IMAGES["recover_images"], {})
    await change_jobs(tx, images, _unchanged, now_ms)
    return Recovered(len(images), tuple(job.id for job in hidden), guilty)


async def _blame(tx: Transaction, now_ms: int, held: Sequence[str]) -> int:
    weights = {"weight": DEATH_AT_WORK, "suspect_after": SUSPECT_AFTER}
    await tx.fetch(IMAGES["count_death"], {**weights, "held": dump_json(held)})
    failure = TOOK_THE_SERVER_DOWN
    parameters = {
        "error_code": failure.code.value,
        "error_message": failure.message,
        "most": MAX_INTERRUPTIONS,
        "now_ms": now_ms,
    }
    images = await tx.fetch_images(IMAGES["fail_guilty_images"], parameters)
    await change_jobs(tx, images, ledger.count_final, now_ms)
    return len(images)


def _unchanged(job: Job, _images: Sequence[Image]) -> Job:
    return job
