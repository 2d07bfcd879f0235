"""An image that takes the whole server down does so a bounded number of times."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp

from imgsvc.domain.retries import DEATH_AT_WORK, MAX_INTERRUPTIONS
from tests.pictures import make_jpeg
from tests.runtime.faulty import fault
from tests.server_process import NotListening, ServerProcess
from tests.servers import form_of

SPEC = json.dumps({"recipe": {"variants": [{"name": "only", "width": 20, "format": "png"}]}})
POISONS = 2
DEATHS = POISONS * MAX_INTERRUPTIONS // DEATH_AT_WORK


def _start(data_dir: Path) -> ServerProcess | None:
    """None when it was dead before it listened."""
    try:
        return ServerProcess(data_dir, workers=2, program="tests.runtime.faulty")
    except NotListening as exc:
        if exc.returncode != -signal.SIGKILL:
            raise
        return None


async def _follow(server: ServerProcess, job: dict[str, Any]) -> dict[str, Any] | None:
    """The job at its end; None when the server was dead before."""
    try:
        async with (
            aiohttp.ClientSession(server.url) as http,
            http.ws_connect(job["links"]["events"]) as socket,
        ):
            messages = [frame.json() async for frame in socket]
            if not messages or messages[-1]["type"] != "end":
                return None
            async with http.get(job["links"]["images"]) as answer:
                images: dict[str, Any] = await answer.json()
                return images
    except (aiohttp.ClientError, OSError):
        return None


async def test_images_that_take_the_server_down_fail_and_their_neighbours_do_not_pay(
    tmp_path: Path,
) -> None:
    go = tmp_path / "go"
    poison, slow = fault("kill-server", go), fault("take-long", 0.3)
    files = [("slow", slow), *[("poison", poison)] * POISONS]
    files += [(f"{n}", make_jpeg(60, 40 + n)) for n in range(6)]
    server = await asyncio.to_thread(_start, tmp_path / "data")
    assert server is not None
    async with (
        aiohttp.ClientSession(server.url) as http,
        http.post("/api/v1/jobs", data=form_of(*files, spec=SPEC)) as answer,
    ):
        assert answer.status == 202
        job = await answer.json()
    go.touch()
    deaths = 0
    while server is None or (images := await _follow(server, job)) is None:
        if server is not None:
            await asyncio.to_thread(server.kill)
        deaths += 1
        assert deaths <= DEATHS
        server = await asyncio.to_thread(_start, tmp_path / "data")
    await asyncio.to_thread(server.stop)
    bad = [image for image in images["items"] if image["name"] == "poison"]
    good = [image for image in images["items"] if image["name"] != "poison"]
    assert [(i["error"]["code"], i["attempts"]) for i in bad] == [("worker_crashed", 1)] * POISONS
    assert [(i["status"], i["attempts"]) for i in good] == [("completed", 1)] * 7
