"""Finished jobs put together without rendering, where a measurement needs very many."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.domain.ids import new_id
from imgsvc.domain.image import Image, NewImage, SourceKind
from imgsvc.domain.job import NewJob
from imgsvc.domain.rendering import InputFacts, OutputFacts, Rendered
from imgsvc.domain.states import Priority
from imgsvc.domain.times import now_ms
from imgsvc.store.images import ImageResult
from imgsvc.store.store import Store

VARIANTS = ("large", "medium", "small")
_FACTS = InputFacts("jpeg", 4000, 3000, 1)


def forge_job(data_dir: Path, images: int, output_bytes: int) -> str:
    """A new data folder with one finished job: `images`, each with an output for every one
    of VARIANTS, of random bytes. Its id.
    """
    data_dir.mkdir()
    return asyncio.run(_forge_job(data_dir, images, output_bytes))


def multiply_jobs(data_dir: Path, jobs: int) -> None:
    """Copy the rows of the only job until there are so many; they have no files."""
    with closing(sqlite3.connect(data_dir / "imgsvc.db")) as database:
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA synchronous = OFF")
        (job,) = map(dict, database.execute("SELECT * FROM jobs").fetchall())
        images = [dict(row) for row in database.execute("SELECT * FROM images ORDER BY idx")]
        ids = [new_id() for _ in range(jobs - 1)]
        with database:
            database.executemany(_insert("jobs", job), [{**job, "id": id_} for id_ in ids])
            database.executemany(_insert("images", images[0]), _copies(images, ids))


async def _forge_job(data_dir: Path, images: int, output_bytes: int) -> str:
    store, blobs = await Store.open(data_dir / "imgsvc.db"), BlobStore(data_dir)
    await blobs.prepare()
    variants = ",".join(f'{{"name":"{name}"}}' for name in VARIANTS)
    job = NewJob(
        id=new_id(),
        recipe=f'{{"variants":[{variants}]}}',
        preset=None,
        label=None,
        priority=Priority.NORMAL,
        source="api",
        open=False,
        hidden=False,
        retain_s=0,
    )
    new = [
        NewImage(new_id(), f"shop/photo {n:05}.jpg", SourceKind.UPLOAD, 1, "0" * 64)
        for n in range(images)
    ]
    await store.create_job(job, new, now_ms())
    await blobs.stage(job.id).sync()
    claimed = await store.claim_images([(job.id, images)], now_ms())
    results = await asyncio.to_thread(_make_outputs, blobs, claimed, output_bytes)
    await store.finish_images(results, now_ms())
    await store.close()
    blobs.close()
    return job.id


def _make_outputs(blobs: BlobStore, images: list[Image], size_bytes: int) -> list[ImageResult]:
    numbers = count()
    content = os.urandom(size_bytes)
    results = []
    for image in images:
        outputs = []
        for variant in VARIANTS:
            data = next(numbers).to_bytes(8, "big") + content[8:]
            path = blobs.output_path(image.job_id, image.id, image.claim, variant, "webp")
            path.write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            outputs.append(OutputFacts(variant, "webp", 800, 600, 1, size_bytes, digest))
        results.append(ImageResult(image.key, Rendered(_FACTS, tuple(outputs), (), 80)))
    return results


def _insert(table: str, row: dict[str, Any]) -> str:
    columns = ", ".join(row)
    return f"INSERT INTO {table} ({columns}) VALUES ({', '.join(f':{name}' for name in row)})"  # noqa: S608


def _copies(images: list[dict[str, Any]], job_ids: list[str]) -> Iterator[dict[str, Any]]:
    for job_id in job_ids:
        for image in images:
            yield {**image, "job_id": job_id, "id": new_id()}
