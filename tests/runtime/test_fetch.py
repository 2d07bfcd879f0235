"""Images by URL when the server stops, and when it is killed."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from imgsvc.domain.times import now_ms
from imgsvc.fetching.breakers import LONGEST_PAUSE_S
from tests.fetching.hosts import Gate, answer, running_host
from tests.pictures import make_jpeg
from tests.server_process import ServerProcess

TINY = {"variants": [{"name": "only", "width": 20, "format": "png"}]}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_what_was_being_fetched_is_fetched_by_the_next_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setenv("IMGSVC_FETCH__ALLOW_PRIVATE", "true")
    picture = answer(make_jpeg(40, 30))
    async with running_host() as host:
        gate = Gate(picture)
        host.answers |= {"/held": [gate, picture], "/now": picture}
        server = await asyncio.to_thread(ServerProcess, tmp_path / "data", workers=1)
        async with aiohttp.ClientSession(base_url=server.url) as http:
            urls = [host.url("/held"), host.url("/now"), host.url("/gone")]
            spec = {"recipe": TINY, "images": [{"url": url} for url in urls]}
            async with http.post("/api/v1/jobs", json=spec) as response:
                job = await response.json()
            await gate.reached.wait()
        await asyncio.to_thread(server.stop, number)
        server = await asyncio.to_thread(ServerProcess, tmp_path / "data", workers=1)
        try:
            images = await _end_of(server, job)
        finally:
            await asyncio.to_thread(server.stop)
    assert [(image["status"], image["attempts"]) for image in images] == [
        ("completed", 1), ("completed", 1), ("failed", 1),
    ]  # fmt: skip


async def test_a_start_waits_for_no_host_that_was_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGSVC_FETCH__ALLOW_PRIVATE", "true")
    async with running_host() as host:
        host.answers["/"] = [gate := Gate(answer()), answer(make_jpeg(40, 30))]
        server = await asyncio.to_thread(ServerProcess, tmp_path / "data", workers=1)
        async with aiohttp.ClientSession(base_url=server.url) as http:
            spec = {"recipe": TINY, "images": [{"url": host.url()}]}
            async with http.post("/api/v1/jobs", json=spec) as response:
                job = await response.json()
            await gate.reached.wait()
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(_put_off, tmp_path / "data" / "imgsvc.db")
        server = await asyncio.to_thread(ServerProcess, tmp_path / "data", workers=1)
        try:
            (image,) = await _end_of(server, job)
        finally:
            await asyncio.to_thread(server.stop)
    assert image["status"] == "completed"


def _put_off(database: Path) -> None:
    """As if the host were left alone for as long as any is."""
    fetch_at = now_ms() + LONGEST_PAUSE_S * 1000
    with closing(sqlite3.connect(database)) as connection, connection:
        changed = connection.execute("UPDATE images SET fetch_at = ?", (fetch_at,))
        assert changed.rowcount == 1


async def _end_of(server: ServerProcess, job: dict[str, Any]) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession(base_url=server.url) as http:
        async with http.ws_connect(job["links"]["events"]) as socket:
            async for _ in socket:
                pass
        async with http.get(job["links"]["images"]) as response:
            items: list[dict[str, Any]] = (await response.json())["items"]
            return items
