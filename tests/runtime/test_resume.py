"""`submit` that is killed, and a server that is killed under it: each file is processed once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from contextlib import aclosing
from pathlib import Path

import aiohttp

from imgsvc.client import Client
from tests.pictures import make_plain_png
from tests.runtime.faulty import fault
from tests.server_process import ServerProcess
from tests.workers.conftest import Gate

COUNT = 400
PENDING = 300
"""No more are taken while the first one is held, so that nobody is killed who has sent them all."""


def start_server(data_dir: Path, port: int = 0, **settings: str) -> ServerProcess:
    program = "tests.runtime.faulty"
    return ServerProcess(data_dir, port, workers=1, program=program, settings=settings)


def start_submit(folder: Path, server: ServerProcess, state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "imgsvc", "submit", str(folder), "--preset=thumbnail"],
        env={**os.environ, "IMGSVC_SERVER": server.url, "XDG_STATE_HOME": str(state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def wait_for_images(server: ServerProcess, count: int) -> str:
    """Until a job has so many; its id."""
    async with (
        aiohttp.ClientSession(server.url) as session,
        session.ws_connect("/api/v1/events") as socket,
    ):
        async for frame in socket:
            message = frame.json()
            for job in message["jobs"] if "jobs" in message else [message["job"]]:
                if job["total"] >= count:
                    return str(job["id"])
    raise AssertionError("the server stopped")


async def test_each_file_is_processed_once_whoever_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(COUNT):
        data = make_plain_png((number % 256, number // 256, 7), 60, 40)
        (folder / f"{number:03}.png").write_bytes(data)
    gate = Gate(tmp_path / "gate")
    word, _, path = gate.content.partition(" ")
    (folder / "000.png").write_bytes(fault(word, path))
    state, data_dir = tmp_path / "state", tmp_path / "data"
    server = start_server(data_dir, IMGSVC_LIMITS__MAX_PENDING_IMAGES=str(PENDING))
    try:
        first = start_submit(folder, server, state)
        job_id = await wait_for_images(server, 32)
        first.kill()
        first.communicate()

        gate.open(2)  # also where it has to be done again
        second = start_submit(folder, server, state)
        await wait_for_images(server, PENDING + 1)
        server.kill()
        server = start_server(data_dir, server.port)
        out, said = second.communicate(timeout=60)
        assert (second.returncode, out.strip()) == (0, job_id), said
        assert f"Going on with job {job_id}" in said

        async with Client(server.url) as client:
            job = await client.wait(job_id)
            names: Counter[str] = Counter()
            async with aclosing(client.images(job_id)) as images:
                async for image in images:
                    names[image["name"]] += 1
                    assert image["attempts"] == 1
        assert (job["status"], job["completed"], job["total"]) == ("completed", COUNT, COUNT)
        assert names == Counter(path.name for path in folder.iterdir())
        assert sum(path.is_file() for path in (data_dir / "jobs").rglob("*")) == 2 * COUNT
        assert list((state / "imgsvc" / "submits").iterdir()) == []
    finally:
        server.stop()
        gate.close()
