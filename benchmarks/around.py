"""What people do around jobs: run again, take everything, watch by the hundred, look things up."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.forge import forge_job, multiply_jobs
from benchmarks.readers import Readers
from benchmarks.server import ServerProcess
from imgsvc.client import Client

READERS = 300
ARCHIVE_IMAGES, ARCHIVE_OUTPUT_BYTES = 3334, 60_000
"""Times three variants: 10 002 outputs, as large as an 800-pixel WebP."""
JOBS, IMAGES_PER_JOB = 10_000, 100
LOOKS = 1000

Row = tuple[str, str]


def measure_reruns(photos: Sequence[Path], folder: Path, workers: int) -> list[Row]:
    """`imgsvc run` over the same folder twice, and a submit of the same photos twice."""
    inputs = folder / "inputs"
    inputs.mkdir()
    for photo in photos:
        (inputs / photo.name).hardlink_to(photo)
    first_s, again_s = (_time(lambda: _run(inputs, folder / "out", workers)) for _ in range(2))
    with ServerProcess(folder / "data", workers) as server:
        made_s, reused_s = (_time(lambda: _submit(server, photos)) for _ in range(2))
    shutil.rmtree(folder / "data")
    return [
        (
            f"`run` over {len(photos)} finished photos, against the first run",
            f"{first_s / again_s:.0f} times faster ({first_s:.1f} s, {again_s:.2f} s)",
        ),
        (
            "the same photos submitted again, upload included",
            f"{made_s / reused_s:.1f} times faster ({made_s:.1f} s, {reused_s:.2f} s)",
        ),
    ]


def measure_archive(folder: Path, workers: int) -> list[Row]:
    """A ZIP of ten thousand outputs over HTTP, against reading the files."""
    job_id = forge_job(folder / "data", ARCHIVE_IMAGES, ARCHIVE_OUTPUT_BYTES)
    outputs = sorted((folder / "data" / "jobs" / job_id / "out").iterdir())
    total_bytes = sum(path.stat().st_size for path in outputs)
    with ServerProcess(folder / "data", workers) as server:
        path = f"/api/v1/jobs/{job_id}/archive.zip"
        _download(server, path)
        before_bytes = server.peak_bytes()
        archive_s = statistics.median(_time(lambda: _download(server, path)) for _ in range(3))
        grown_bytes = server.peak_bytes() - before_bytes
    read_s = statistics.median(_time(lambda: [p.read_bytes() for p in outputs]) for _ in range(3))
    shutil.rmtree(folder / "data")
    speed, plain = (total_bytes / 1e6 / elapsed_s for elapsed_s in (archive_s, read_s))
    return [
        (
            f"ZIP of {len(outputs):,} outputs, against a plain read of the files",
            f"{speed:,.0f} MB/s, {plain:,.0f} MB/s; memory grew by {grown_bytes >> 20} MiB",
        )
    ]


def measure_readers(photos: Sequence[Path], folder: Path, workers: int, rounds: int) -> list[Row]:
    """Images a second with and without readers of the job's progress, in turns."""
    with ServerProcess(folder / "data", workers) as server:
        asyncio.run(_watched(server, photos[: 2 * workers], 0))
        alone, watched = [], []
        for _ in range(rounds):
            alone.append(asyncio.run(_watched(server, photos, 0)))
            watched.append(asyncio.run(_watched(server, photos, READERS)))
    shutil.rmtree(folder / "data")
    share = statistics.median(watched) / statistics.median(alone)
    return [(f"images/s with {READERS} readers, against none", f"{100 * share:.0f} %")]


def measure_lists(folder: Path, workers: int) -> list[Row]:
    """Pages of a database with a million images, at random places."""
    forge_job(folder / "data", IMAGES_PER_JOB, 8)
    multiply_jobs(folder / "data", JOBS)
    dice = random.Random(1)
    with ServerProcess(folder / "data", workers) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        cursors, ids = _walk(connection)
        places: dict[str, Callable[[], str]] = {
            "a page of 50 jobs": lambda: f"/api/v1/jobs?limit=50&cursor={dice.choice(cursors)}",
            "one job": lambda: f"/api/v1/jobs/{dice.choice(ids)}",
            "a page of 100 images": lambda: f"/api/v1/jobs/{dice.choice(ids)}/images?limit=100",
        }
        rows = [(f"{what}, of 1,000,000 images in 10,000 jobs", _look(connection, place))
                for what, place in places.items()]  # fmt: skip
        start_s = server.start_s
    shutil.rmtree(folder / "data")
    return [*rows, ("start until ready with 1,000,000 images", f"{start_s:.2f} s")]


def table(rows: Sequence[Row]) -> str:
    lines = [f"| {what} | {found} |" for what, found in rows]
    return "\n".join(["| | |", "| --- | ---: |", *lines])


def _time(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _run(inputs: Path, out: Path, workers: int) -> None:
    command = [sys.executable, "-m", "imgsvc", "run", str(inputs), "--out", str(out)]
    subprocess.run([*command, f"--workers={workers}"], check=True, capture_output=True)


def _submit(server: ServerProcess, photos: Sequence[Path]) -> None:
    async def submit() -> None:
        async with Client(server.url) as client:
            job = await client.submit(photos, preset="standard")
            done = await client.wait(job["id"])
            if done["completed"] != len(photos):
                raise ValueError("not every photo was completed")

    asyncio.run(submit())


async def _watched(server: ServerProcess, photos: Sequence[Path], readers: int) -> float:
    """Images a second from the close of a job, all of whose images wait, to its end."""
    async with Client(server.url) as client:
        job = await client.open_job(preset="standard", reuse=False)
        watching = Readers(server.port, job["id"], readers)
        await asyncio.to_thread(watching.__enter__)
        begin = time.perf_counter()
        await client.append(job["id"], photos)
        await client.close(job["id"])
        await client.wait(job["id"])
        elapsed_s = time.perf_counter() - begin
        await asyncio.to_thread(watching.__exit__, None, None, None)
        await client.delete(job["id"])
    return len(photos) / elapsed_s


def _download(server: ServerProcess, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", path)
    answer = connection.getresponse()
    while answer.read(1 << 20):
        pass
    connection.close()


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise ValueError(content.decode())
    return content


def _walk(connection: http.client.HTTPConnection) -> tuple[list[str], list[str]]:
    """The cursors of all pages of jobs, and every job's id."""
    cursors: list[str] = []
    ids: list[str] = []
    path = "/api/v1/jobs?limit=500"
    while True:
        page: dict[str, Any] = json.loads(_get(connection, path))
        ids += [job["id"] for job in page["items"]]
        if page["next_cursor"] is None:
            return cursors, ids
        cursors.append(page["next_cursor"])
        path = f"/api/v1/jobs?limit=500&cursor={page['next_cursor']}"


def _look(connection: http.client.HTTPConnection, place: Callable[[], str]) -> str:
    paths = [place() for _ in range(LOOKS)]
    times_ms = sorted(1000 * _time(partial(_get, connection, path)) for path in paths)
    half, most = times_ms[LOOKS // 2], times_ms[LOOKS * 99 // 100]
    return f"p50 {half:.1f} ms, p99 {most:.1f} ms"
