"""A server in a process of its own, with few files to open, among clients that behave badly."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.hostile.gauge import Gauge
from tests.pictures import make_jpeg
from tests.server_process import ServerProcess
from tests.servers import form_of

HOST = b"Host: localhost\r\n"
IDLE = 3000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    settings = {"IMGSVC_LIMITS__MAX_PENDING_IMAGES": "50", "IMGSVC_SERVER__MAX_UPLOADS": "20"}
    server = ServerProcess(tmp_path / "data", workers=1, settings=settings)
    try:
        yield server
        assert server.process.poll() is None
    finally:
        server.stop()


@asynccontextmanager
async def connections(server: ServerProcess, count: int, sent: bytes) -> AsyncIterator[list[Any]]:
    """So many that send this and then neither more nor read; fewer where the system has no more."""
    opened = []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
            opened.append((reader, writer))
            writer.write(sent)
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def until(met: Callable[[], bool]) -> None:
    """The server has noticed that somebody went."""
    while not met():  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)


async def behave(server: ServerProcess) -> None:
    """A client that behaves, for which everything must go well."""
    photo = make_jpeg(300, 200) + os.urandom(8)
    async with aiohttp.ClientSession(server.url) as http:
        headers = {"Prefer": "wait=30"}
        form = form_of(("a.jpg", photo), preset="thumbnail")
        async with http.post("/api/v1/jobs", data=form, headers=headers) as answer:
            job = await answer.json()
            assert answer.status == 200, job
        async with http.get(f"{job['links']['images']}/0/outputs/thumbnail") as answer:
            assert answer.status == 200
            await answer.read()
        async with http.delete(job["links"]["self"]) as answer:
            assert answer.status == 204


async def test_thousands_of_connections_that_say_nothing_or_little_are_in_nobodys_way(
    server: ServerProcess,
) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE, soft - 200)
    process = psutil.Process(server.process.pid)
    await behave(server)
    files, resident = process.num_fds(), process.memory_info().rss
    half_a_head = b"GET /livez HTTP/1.1\r\n" + HOST
    half_a_body = (
        b"POST /api/v1/jobs HTTP/1.1\r\n" + HOST + b"Content-Type: image/jpeg\r\n"
        b"Content-Length: 60000\r\n\r\n\xff\xd8"
    )
    async with (
        connections(server, count - 200, b""),
        connections(server, 100, half_a_head),
        connections(server, 100, half_a_body),
    ):
        await behave(server)
        assert process.memory_info().rss - resident < 100 << 20
    await until(lambda: process.num_fds() <= files + 5)
    await behave(server)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def test_a_server_with_hardly_any_files_left_serves_on_and_recovers(
    tmp_path: Path,
) -> None:
    server = ServerProcess(tmp_path / "data", workers=1)
    try:
        await behave(server)
        process = psutil.Process(server.process.pid)
        # Less than the connections it believes to have place for.
        limit = process.num_fds() + 20
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        async with connections(server, 30, b"") as opened:
            cpu_s, begun_s = _cpu_s(process), time.monotonic()
            await opened[0][0].read()  # until idle ones give theirs back
            await behave(server)
            assert _cpu_s(process) - cpu_s < (time.monotonic() - begun_s) / 2 + 0.2
    finally:
        server.stop()
    assert server.process.returncode == 0


def _count_shared(server: ServerProcess) -> int:
    """Pieces of memory that it shares with its workers."""
    maps = Path(f"/proc/{server.process.pid}/maps").read_text()
    return maps.count("/memfd:")


async def test_a_worker_of_the_start_that_is_replaced_leaves_nothing_open(
    server: ServerProcess,
) -> None:
    await behave(server)
    shared = await asyncio.to_thread(_count_shared, server)
    (first,) = Gauge(server.process.pid).list_workers()
    os.kill(first, signal.SIGKILL)
    await until(lambda: not psutil.pid_exists(first))
    await behave(server)
    while await asyncio.to_thread(_count_shared, server) > shared:
        pass  # until the garbage is searched


async def test_clients_that_vanish_while_they_send_or_read_leave_nothing(
    server: ServerProcess,
) -> None:
    process = psutil.Process(server.process.pid)
    await behave(server)
    files = process.num_fds()
    photo = make_jpeg(1500, 1000)
    async with aiohttp.ClientSession(server.url) as http:
        form = form_of(*((f"{n}.jpg", photo + bytes([n])) for n in range(20)))
        headers = {"Prefer": "wait=50"}
        async with http.post("/api/v1/jobs", data=form, headers=headers) as answer:
            job = await answer.json()
            assert job["status"] == "completed"

    def ask(path: str, more: bytes = b"") -> bytes:
        return b"GET " + path.encode() + b" HTTP/1.1\r\n" + HOST + more + b"\r\n"

    links = job["links"]
    upgrade = (
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    )
    upload = (
        b"POST /api/v1/jobs HTTP/1.1\r\n" + HOST + b"Content-Type: image/jpeg\r\n"
        b"Content-Length: 9000000\r\n\r\n" + photo
    )
    rude = {
        "upload": upload,
        "zip": ask(links["archive"]),
        "lists": ask(links["images"] + "?limit=1000") * 20,
        "file": ask(f"{links['images']}/0/outputs/standard"),
        "events": ask("/api/v1/events", b"Accept: text/event-stream\r\n"),
        "socket": ask("/api/v1/events", upgrade),
    }
    async with connections(server, 0, b"") as opened:
        for sent in rude.values():
            for _ in range(10):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
                writer.write(sent)
                opened.append((reader, writer))
        await behave(server)
    await until(lambda: process.num_fds() <= files + 5)
    folders = server.data_dir / "jobs"
    await until(lambda: [path.name for path in folders.iterdir()] == [job["id"]])
    await behave(server)


async def test_more_than_can_be_taken_is_refused_honestly_and_taken_later(
    server: ServerProcess,
) -> None:
    async with aiohttp.ClientSession(server.url) as http:
        form = form_of(*((f"{n}.jpg", make_jpeg(30, 20)) for n in range(60)))
        async with http.post("/api/v1/jobs", data=form) as answer:
            problem = await answer.json()
            assert (answer.status, problem["code"]) == (429, "queue_full")
            assert answer.headers["Retry-After"]

        async def upload(number: int) -> int:
            body = make_jpeg(600, 400) + bytes(100_000) + bytes([number])
            while True:
                async with http.post("/api/v1/jobs?preset=thumbnail", data=body) as answer:
                    if answer.status == 202:
                        return 202
                    problem = json.loads(await answer.read())
                    assert problem["code"] in {"rate_limited", "queue_full"}
                    assert answer.headers["Retry-After"]

        assert set(await asyncio.gather(*map(upload, range(60)))) == {202}
        assert await upload(60) == 202
