"""Kill a working server with SIGKILL again and again, and then look whether anything is lost.

`python -m tests.runtime.killing --kills 20 --batch 300` prints what it found.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import json
import random
import tempfile
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from PIL import Image

from tests.pictures import make_jpeg
from tests.server_process import ServerProcess

SPEC = {
    "reuse": False,
    "recipe": {
        "variants": [
            {"name": "m", "width": 80, "format": "webp"},
            {"name": "s", "width": 40, "format": "png"},
        ]
    },
}


@dataclass
class Report:
    """What became of everything. All counts but the first four should be 0.

    lost: acknowledged images that are not completed. broken: outputs that do not open or
    are not what their row says. doubled: files of an image beyond its outputs. orphans:
    folders, temporary files and half-received jobs left over. survivors: child processes
    that outlived their server.
    """

    kills: int = 0
    acknowledged: int = 0
    images: int = 0
    outputs: int = 0
    lost: int = 0
    broken: int = 0
    doubled: int = 0
    orphans: int = 0
    survivors: int = 0
    jobs: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return self.lost + self.broken + self.doubled + self.orphans + self.survivors


async def torture(folder: Path, *, kills: int, batch: int, workers: int, seed: int) -> Report:
    """Kill `kills` times while batches come in and are worked on; then check everything."""
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    pictures = [make_jpeg(200 + n, 150) for n in range(20)]
    report = Report()
    for _ in range(kills):
        server = await asyncio.to_thread(ServerProcess, folder, workers=workers)
        await _work_until_killed(server, pictures, batch, dice, report)
    server = await asyncio.to_thread(ServerProcess, folder, workers=workers)
    try:
        async with aiohttp.ClientSession(base_url=server.url) as http:
            await _check(http, folder, report)
    finally:
        await asyncio.to_thread(server.stop)
    report.orphans += sum(1 for _ in folder.glob("slots/*/*"))
    return report


async def _work_until_killed(
    server: ServerProcess,
    pictures: Sequence[bytes],
    batch: int,
    dice: random.Random,
    report: Report,
) -> None:
    """Submit a batch, and kill in the middle of the upload, or of the work on it."""
    kill_at_part = dice.randrange(batch) if dice.random() < 0.4 else None
    kill_at_message = dice.randrange(1, batch)
    once = threading.Lock()

    def kill() -> None:
        with once:
            if server.process.poll() is not None:
                return
            children = psutil.Process(server.process.pid).children(recursive=True)
            server.kill()
            _, alive = psutil.wait_procs(children, timeout=10)
            report.survivors += len(alive)
            report.kills += 1

    async with aiohttp.ClientSession(base_url=server.url) as http:
        try:
            async with http.ws_connect("/api/v1/events") as socket:
                body = _form(pictures, batch, kill_at_part, kill)
                headers = {"Content-Type": "multipart/form-data; boundary=cut"}
                async with http.post("/api/v1/jobs", data=body, headers=headers) as answer:
                    job = await answer.json()
                    assert answer.status == 202, job
                report.jobs.append(job["id"])
                report.acknowledged += batch
                seen = 0
                async for frame in socket:
                    seen += 1
                    is_done = frame.json().get("job", {}).get("progress") == 100.0
                    if is_done or seen >= min(kill_at_message, 20):
                        break
        except (aiohttp.ClientError, OSError):
            pass
    await asyncio.to_thread(kill)


async def _form(
    pictures: Sequence[bytes], batch: int, kill_at_part: int | None, kill: Any
) -> AsyncIterator[bytes]:
    head = b'--cut\r\nContent-Disposition: form-data; name="spec"\r\n\r\n'
    yield head + json.dumps(SPEC).encode() + b"\r\n"
    for number in range(batch):
        if number == kill_at_part:
            await asyncio.to_thread(kill)
        name = f'--cut\r\nContent-Disposition: form-data; name="f"; filename="{number}.jpg"\r\n\r\n'
        yield name.encode() + pictures[number % len(pictures)] + b"\r\n"
    yield b"--cut--\r\n"


async def _check(http: aiohttp.ClientSession, folder: Path, report: Report) -> None:
    known = await _all_jobs(http)
    report.lost += sum(1 for job_id in report.jobs if job_id not in known)
    for job_id in known:
        await _check_job(http, folder, job_id, report)
    folders = {path.name for path in (folder / "jobs").iterdir()}
    report.orphans += len(folders - set(known))


async def _all_jobs(http: aiohttp.ClientSession) -> list[str]:
    async with http.get("/api/v1/jobs?limit=500") as answer:
        return [job["id"] for job in (await answer.json())["items"]]


async def _check_job(
    http: aiohttp.ClientSession, folder: Path, job_id: str, report: Report
) -> None:
    async with http.ws_connect(f"/api/v1/jobs/{job_id}/events") as socket:
        async for _ in socket:
            pass
    expected = 0
    async with http.get(f"/api/v1/jobs/{job_id}/images?limit=1000") as answer:
        images = (await answer.json())["items"]
    for image in images:
        report.images += 1
        report.lost += image["status"] != "completed"
        expected += len(image["outputs"])
        for output in image["outputs"]:
            report.outputs += 1
            report.broken += not await _is_whole(http, output)
    on_disk = sum(1 for _ in (folder / "jobs" / job_id / "out").iterdir())
    report.doubled += on_disk - expected


async def _is_whole(http: aiohttp.ClientSession, output: dict[str, Any]) -> bool:
    async with http.get(output["url"]) as answer:
        content = await answer.read()
    if answer.status != 200 or hashlib.sha256(content).hexdigest() != output["sha256"]:
        return False
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        return picture.size == (output["width"], output["height"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--batch", type=int, default=300)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(torture(Path(folder) / "data", **vars(options)))
    for name, value in vars(report).items():
        if name != "jobs":
            print(f"{name:13} {value}")  # noqa: T201
    raise SystemExit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
