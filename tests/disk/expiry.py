"""`python -m tests.disk.expiry <data folder>`: a job that is to be deleted when its time is over.

Its rows need more space in the database's log than is kept aside. When all is ready a line is
written, and when one has come the job is deleted. Fails when anything of it is left.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from imgsvc.blobs.ballast import SIZE_BYTES
from imgsvc.blobs.blob_store import BlobStore
from imgsvc.service.delete import Deleter
from imgsvc.store.store import Store
from tests.store.builders import new_image, new_job

IMAGES = 2000


async def delete_expired(data_dir: Path) -> None:
    blobs = BlobStore(data_dir)
    await blobs.prepare()
    await blobs.keep_ballast(0)
    store = await Store.open(data_dir / "imgsvc.db")
    images = [new_image(name="x" * 250) for _ in range(IMAGES)]
    job = await store.create_job(new_job(), images, 1000)
    job = await store.cancel_job(job.id, 2000)
    for image in images:
        path = blobs.input_path(job.id, image.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no image")
    assert job.expires_at is not None
    await store.close()  # which takes the log away
    store = await Store.open(data_dir / "imgsvc.db")
    try:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        await Deleter(store, blobs).delete_expired(job.id, job.expires_at)
        assert await store.job_ids([job.id]) == set()
        assert await blobs.job_folders() == []
        assert await store.wal_bytes() > SIZE_BYTES
    finally:
        await store.close()
        blobs.close()


if __name__ == "__main__":
    asyncio.run(delete_expired(Path(sys.argv[1])))
