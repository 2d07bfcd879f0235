"""A render beside other work, and when somebody goes away: the client, the server, a worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.pictures import make_jpeg
from tests.runtime.faulty import fault, render
from tests.server_process import ServerProcess
from tests.servers import (
    Running,
    form_of,
    leftovers,
    make_settings,
    running_server,
    until_nothing_is_left,
)
from tests.workers.conftest import Gate

RENDER = "/api/v1/render?width=20&format=png"
SPEC = json.dumps({"recipe": {"variants": [{"name": "v", "width": 20}]}, "reuse": False})


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_server(make_settings(tmp_path / "data"), render) as running:
        yield running


def _gated(gate: Gate) -> bytes:
    """An image that keeps its worker until the gate opens."""
    word, _, rest = gate.content.partition(" ")
    return fault(word, rest)


async def _until(met: Callable[[], bool]) -> None:
    """Nothing tells of what goes on inside."""
    while not met():  # noqa: ASYNC110
        await asyncio.sleep(0)


def _is_at_work(server: Running) -> bool:
    """Whether a worker has begun with an image."""
    slots = server.core.pool._slots.values()
    return any(worker.mark.ordinal for slot in slots for worker in slot._workers)


async def _post(http: aiohttp.ClientSession, content: bytes) -> tuple[int, Any]:
    async with http.post(RENDER, data=content) as answer:
        if answer.status != 200:
            return answer.status, (await answer.json())["code"]
        return answer.status, await answer.read()


async def test_it_is_answered_while_a_job_of_many_images_runs(server: Running, gate: Gate) -> None:
    """The only worker is held up by the first image, and half-way for as long as it takes."""
    files = [(f"{n}.jpg", make_jpeg(400 + n, 300)) for n in range(200)]
    files[0] = files[100] = ("gated", _gated(gate))
    async with server.http.post("/api/v1/jobs", data=form_of(*files, spec=SPEC)) as answer:
        job = await answer.json()
    await _until(lambda: _is_at_work(server))
    lane = server.core.dispatcher.urgent
    waiting = [asyncio.create_task(_post(server.http, make_jpeg(60, 40))) for _ in range(3)]
    await _until(lambda: lane.in_flight + len(lane._waiting) == 3)
    gate.open()
    for status, content in await asyncio.gather(*waiting):
        assert (status, content[:4]) == (200, b"\x89PNG")
    gate.open()
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        messages = [json.loads(message.data) async for message in socket]
    assert messages[-1]["job"]["completed"] == 200


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (fault("crash"), 422, "worker_crashed"),
        (fault("hang"), 422, "timeout"),
        (fault("raise"), 500, "internal"),
    ],
)
async def test_an_image_that_harms_its_worker_is_a_problem(
    tmp_path: Path, content: bytes, status: int, code: str
) -> None:
    settings = make_settings(tmp_path / "data", workers={"timeout_s": 3.0})
    async with running_server(settings, render) as server:
        assert await _post(server.http, content) == (status, code)
        assert (await _post(server.http, make_jpeg()))[0] == 200


async def test_a_client_that_goes_away_leaves_no_file_and_no_work(
    server: Running, gate: Gate
) -> None:
    lane, data_dir = server.core.dispatcher.urgent, server.core.settings.storage.data_dir
    async with aiohttp.ClientSession(server.url) as others:
        waiting = [asyncio.create_task(_post(others, _gated(gate))) for _ in range(4)]
        await _until(lambda: lane.in_flight == 2 and len(lane._waiting) == 2)
        for one in waiting:
            one.cancel()
        await asyncio.wait(waiting)
    await _until(lambda: not lane.waits)
    gate.open(2)
    await _until(lambda: lane.in_flight == 0)
    await until_nothing_is_left(data_dir)


async def test_a_client_that_stops_in_mid_body_leaves_no_file(server: Running) -> None:
    data_dir = server.core.settings.storage.data_dir
    sent = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield make_jpeg(2000, 2000)
        sent.set()
        await asyncio.Event().wait()

    async with aiohttp.ClientSession(server.url) as others:
        posting = asyncio.create_task(others.post(RENDER, data=half()))
        await sent.wait()
        posting.cancel()
        await asyncio.wait([posting])
    await until_nothing_is_left(data_dir)


async def test_when_too_many_wait_the_next_is_asked_to_come_again(
    server: Running, gate: Gate
) -> None:
    lane = server.core.dispatcher.urgent
    waiting = [asyncio.create_task(_post(server.http, _gated(gate))) for _ in range(2)]
    await _until(lambda: lane.in_flight == 2)
    waiting += [asyncio.create_task(_post(server.http, make_jpeg())) for _ in range(4)]
    await _until(lambda: len(lane._waiting) == 4)
    async with server.http.post(RENDER, data=make_jpeg()) as answer:
        assert (answer.status, (await answer.json())["code"]) == (429, "queue_full")
        assert int(answer.headers["Retry-After"]) > 0
    gate.open(2)
    assert [status for status, _ in await asyncio.gather(*waiting)] == [200] * 6


async def test_a_server_that_stops_finishes_what_runs_and_takes_no_more(
    server: Running, gate: Gate
) -> None:
    lane = server.core.dispatcher.urgent
    running = asyncio.create_task(_post(server.http, _gated(gate)))
    await _until(lambda: _is_at_work(server))
    waiting = [asyncio.create_task(_post(server.http, make_jpeg())) for _ in range(3)]
    await _until(lambda: lane.in_flight == 2 and len(lane._waiting) == 2)
    stopping = asyncio.create_task(server.core.stop())
    for one in waiting:
        assert await one == (503, "shutting_down")
    assert await _post(server.http, make_jpeg()) == (503, "shutting_down")
    gate.open()
    assert (await running)[0] == 200
    await stopping
    await until_nothing_is_left(server.core.settings.storage.data_dir)


async def test_what_a_killed_server_left_is_swept_at_the_next_start(
    tmp_path: Path, gate: Gate
) -> None:
    data_dir = tmp_path / "data"
    killed = ServerProcess(data_dir, workers=1, program="tests.runtime.faulty")
    try:
        async with aiohttp.ClientSession(killed.url) as http:
            posting = asyncio.create_task(_post(http, _gated(gate)))
            await _until(lambda: any(data_dir.glob("slots/0.in/*.input")))
            await asyncio.to_thread(killed.kill)
            with pytest.raises(aiohttp.ClientError):
                await posting
    finally:
        killed.kill()
    assert list(data_dir.glob("jobs/*/in/*"))
    async with running_server(make_settings(data_dir), render):
        assert leftovers(data_dir) == []
