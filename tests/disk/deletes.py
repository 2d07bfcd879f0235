"""`python -m tests.disk.deletes <how> <data folder>`: a job is deleted whose rows need more space
in the database's log than is kept aside.

When all is ready a line is written, and when one has come the job is deleted: `expired`, when its
time is over, after which nothing of it may be left; or `killed`, by somebody who asks for it, and
the process is killed when the files are gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from imgsvc.blobs.ballast import SIZE_BYTES
from imgsvc.blobs.blob_store import BlobStore
from imgsvc.domain.job import Job
from imgsvc.service.delete import Deleter
from imgsvc.store.store import Store
from tests.store.builders import new_image, new_job

IMAGES = 2000


class DeadlyBlobs(BlobStore):
    async def delete_job(self, job_id: str) -> None:
        await super().delete_job(job_id)
        os.kill(os.getpid(), signal.SIGKILL)


@asynccontextmanager
async def open_with_job(data_dir: Path, blobs: BlobStore) -> AsyncIterator[tuple[Store, Job]]:
    """Not finished, with all its files; goes on when the disk may be full."""
    await blobs.prepare()
    await blobs.keep_ballast(0)
    store = await Store.open(data_dir / "imgsvc.db")
    images = [new_image(name="x" * 250) for _ in range(IMAGES)]
    job = await store.create_job(new_job(), images, 1000)
    for image in images:
        path = blobs.input_path(job.id, image.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image")
    await store.close()  # which takes the log away
    store = await Store.open(data_dir / "imgsvc.db")
    try:
        yield store, job
    finally:
        await store.close()
        blobs.close()


async def wait_for_word() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)


async def delete_expired(data_dir: Path) -> None:
    blobs = BlobStore(data_dir)
    async with open_with_job(data_dir, blobs) as (store, job):
        job = await store.cancel_job(job.id, 2000)
        assert job.expires_at is not None
        await store.shrink_wal()
        await wait_for_word()
        await Deleter(store, blobs).delete_expired(job.id, job.expires_at)
        assert await store.job_ids([job.id]) == set()
        assert await blobs.job_folders() == []
        assert await store.wal_bytes() > SIZE_BYTES


async def delete_and_die(data_dir: Path) -> None:
    blobs = DeadlyBlobs(data_dir)
    async with open_with_job(data_dir, blobs) as (store, job):
        await wait_for_word()
        await Deleter(store, blobs).delete(job.id)


if __name__ == "__main__":
    how = {"expired": delete_expired, "killed": delete_and_die}[sys.argv[1]]
    asyncio.run(how(Path(sys.argv[2])))
