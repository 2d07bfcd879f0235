"""What a user does to a job by hand after the submit: cancel it, or retry its images."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from imgsvc.domain.job import Job
from imgsvc.store import ledger
from imgsvc.store.changes import change_job, load_job, no_such_job
from imgsvc.store.rows import dump_json
from imgsvc.store.sql import IMAGES
from imgsvc.store.writer import Transaction


async def cancel_job(tx: Transaction, job_id: str, now_ms: int) -> Job:
    """Close the job and cancel every image that is not final. Raises NotFound."""
    job = await load_job(tx, job_id)
    if job.state.is_final:
        return job
    images = await tx.fetch_images(IMAGES["cancel_images"], {"job_id": job_id, "now_ms": now_ms})
    cancelled = ledger.count_final(replace(job, open=False), images)
    return await change_job(tx, ledger.settle(cancelled, now_ms), images)


async def retry_images(
    tx: Transaction,
    job_id: str,
    codes: Collection[str] | None = None,
    indexes: Collection[int] | None = None,
) -> Job:
    """Let failed and cancelled images wait for a first try again, with what they failed of as their
    last error. Raises NotFound, also for a hidden job: it may have no files any more.

    codes: only images that failed with one of these; indexes: only these images.
    """
    job = await load_job(tx, job_id)
    if job.hidden:
        raise no_such_job()
    wanted = None if indexes is None else frozenset(indexes)
    rows = [
        row
        for row in await tx.fetch(IMAGES["retryable_images"], {"job_id": job_id})
        if (codes is None or row["error_code"] in codes)
        and (wanted is None or row["idx"] in wanted)
    ]
    if not rows:
        return job
    parameters = {"job_id": job_id, "indexes": dump_json([row["idx"] for row in rows])}
    images = await tx.fetch_images(IMAGES["retry_images"], parameters)
    errors = _count_errors(rows)
    reopened = ledger.reopen(job, images, errors, len(rows) - errors.total())
    return await change_job(tx, reopened, images)


def _count_errors(rows: Collection[sqlite3.Row]) -> Counter[str]:
    return Counter(row["error_code"] for row in rows if row["error_code"] is not None)
