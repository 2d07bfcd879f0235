"""Stopping: gracefully at the first signal, at once at the second."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.pictures import make_jpeg
from tests.runtime.faulty import fault
from tests.server_process import ServerProcess
from tests.servers import form_of, make_settings, running_server

SPEC = json.dumps({"recipe": {"variants": [{"name": "only", "width": 20, "format": "png"}]}})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path / "data", workers=1, program="tests.runtime.faulty")
    yield running
    running.kill()


async def _submit_gated(http: aiohttp.ClientSession, gate: Path, more: int) -> dict[str, Any]:
    os.mkfifo(gate)
    files = [("gated", fault("gate", gate)), *((f"{n}", make_jpeg(30, 20)) for n in range(more))]
    async with http.post("/api/v1/jobs", data=form_of(*files, spec=SPEC)) as answer:
        job: dict[str, Any] = await answer.json()
        return job


async def _until_draining(http: aiohttp.ClientSession) -> None:
    while True:
        async with http.get("/readyz") as answer:
            if answer.status == 503:
                assert (await answer.json())["problems"] == ["draining"]
                return


async def test_a_first_signal_drains_and_exits_with_0(
    server: ServerProcess, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    async with aiohttp.ClientSession(base_url=server.url) as http:
        job = await _submit_gated(http, gate, 30)
        opened = await asyncio.to_thread(gate.open, "w")
        socket = await http.ws_connect(job["links"]["events"])
        server.process.send_signal(signal.SIGTERM)
        await _until_draining(http)
        async with http.post(
            "/api/v1/jobs", data=form_of(("a", make_jpeg(20, 20)), spec=SPEC)
        ) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "shutting_down")
            assert int(answer.headers["Retry-After"]) > 0
        async with http.get("/livez") as answer:
            assert answer.status == 200
        opened.close()
        async for _ in socket:
            pass
        assert socket.close_code == 1001
    assert await asyncio.to_thread(server.process.wait, 20) == 0
    again = ServerProcess(tmp_path / "data", workers=1, program="tests.runtime.faulty")
    try:
        async with (
            aiohttp.ClientSession(base_url=again.url) as http,
            http.ws_connect(job["links"]["events"]) as socket,
        ):
            messages = [json.loads(message.data) async for message in socket]
            async with http.get(f"{job['links']['images']}/0") as answer:
                gated = await answer.json()
        assert messages[-1]["job"]["completed"] == 31
        assert gated["attempts"] == 1
    finally:
        again.stop()


async def test_a_second_signal_ends_at_once_and_loses_nothing(
    server: ServerProcess, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    async with aiohttp.ClientSession(base_url=server.url) as http:
        job = await _submit_gated(http, gate, 5)
        opened = await asyncio.to_thread(gate.open, "w")
        server.process.send_signal(signal.SIGINT)
        await _until_draining(http)
        server.process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(server.process.wait, 20) == 128 + signal.SIGINT
    opened.close()
    again = ServerProcess(tmp_path / "data", workers=1, program="tests.runtime.faulty")
    try:
        (await asyncio.to_thread(gate.open, "w")).close()
        async with (
            aiohttp.ClientSession(base_url=again.url) as http,
            http.ws_connect(job["links"]["events"]) as socket,
        ):
            messages = [json.loads(message.data) async for message in socket]
        assert messages[-1]["job"]["completed"] == 6
    finally:
        again.stop()


def _interruptions(data_dir: Path) -> int:
    with closing(sqlite3.connect(data_dir / "imgsvc.db")) as database:
        (row,) = database.execute("SELECT interruptions FROM images")
    return int(row[0])


async def test_an_image_is_not_blamed_for_the_death_of_a_server_that_was_asked_to_stop(
    server: ServerProcess, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    async with aiohttp.ClientSession(base_url=server.url) as http:
        await _submit_gated(http, gate, 0)
        with await asyncio.to_thread(gate.open, "w"):
            server.process.send_signal(signal.SIGTERM)
            await _until_draining(http)
            await asyncio.to_thread(server.kill)
    again = ServerProcess(tmp_path / "data", workers=1, program="tests.runtime.faulty")
    await asyncio.to_thread(again.kill)
    assert _interruptions(tmp_path / "data") == 0


async def test_a_server_that_fails_by_itself_counts_as_one_that_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    settings = make_settings(tmp_path / "data")
    async with running_server(settings) as server:
        monkeypatch.setattr(server.core.blobs, "publish", fail)
        with capture_logs():
            async with server.http.post("/api/v1/jobs", data=form_of(("a", make_jpeg(9, 9)))):
                await asyncio.wait({server.core.failure})
    assert _interruptions(tmp_path / "data") == 0
    async with running_server(settings):
        assert _interruptions(tmp_path / "data") == 1
