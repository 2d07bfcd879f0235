from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from imgsvc.domain.states import ImageState
from imgsvc.store.store import Store

WRITE = """
import asyncio, sys
from pathlib import Path
from imgsvc.store.store import Store
from tests.store.builders import claim, create, made

async def work(store):
    while True:
        job = await create(store, 20)
        print("created", job.id, flush=True)
        for image in await claim(store, job, 8):
            await store.finish_images([made(image)], 3_000)
            print("finished", job.id, image.index, flush=True)

async def main():
    store = await Store.open(Path(sys.argv[1]))
    await asyncio.gather(*(work(store) for _ in range(4)))

asyncio.run(main())
"""


def write_until_killed(database: Path) -> list[str]:
    """What the writing process had acknowledged."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(database)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(150)]
        writer.kill()
        lines += writer.stdout.readlines()
    return lines


async def test_a_kill_in_the_middle_of_writes_loses_nothing_acknowledged(database: Path) -> None:
    lines = await asyncio.to_thread(write_until_killed, database)
    said = [line.split() for line in lines if line.endswith("\n")]
    store = await Store.open(database)
    for what, job_id, *rest in said:
        if what == "created":
            assert (await store.job(job_id)).total == 20
            assert len((await store.images(job_id, limit=99))[0]) == 20
        else:
            assert (await store.image(job_id, int(rest[0]))).state is ImageState.COMPLETED
    await store.recover(9_000)
    jobs, _ = await store.jobs(limit=500)
    for job in jobs:
        done, _ = await store.images(job.id, ImageState.COMPLETED, limit=99)
        waiting, _ = await store.images(job.id, ImageState.PENDING, limit=99)
        assert (len(done), len(waiting)) == (job.completed, 20 - job.completed)
    await store.close()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
