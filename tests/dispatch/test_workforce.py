"""How many workers there are, and that changing it costs nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from imgsvc.dispatch.workforce import SHRINK_AFTER_S, Bounds, Need, Workforce, decide_size
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, get_json, make_settings, running_server

BOUNDS = Bounds(2, 12)
SPEC = json.dumps({"recipe": {"variants": [{"name": "v", "width": 16}]}, "reuse": False})


@pytest.mark.parametrize(
    ("need", "size"),
    [
        (Need(2, work_waits=True, idle_s=0, peak_busy=2), 4),
        (Need(8, work_waits=True, idle_s=0, peak_busy=8), 12),
        (Need(12, work_waits=True, idle_s=0, peak_busy=12), 12),
        (Need(8, work_waits=False, idle_s=SHRINK_AFTER_S - 1, peak_busy=0), 8),
        (Need(8, work_waits=False, idle_s=SHRINK_AFTER_S, peak_busy=5), 5),
        (Need(8, work_waits=False, idle_s=SHRINK_AFTER_S, peak_busy=0), 2),
        (Need(1, work_waits=False, idle_s=0, peak_busy=0), 2),
        (Need(20, work_waits=False, idle_s=0, peak_busy=20), 12),
    ],
)
def test_the_pool_doubles_while_work_waits_and_shrinks_to_what_was_needed(
    need: Need, size: int
) -> None:
    assert decide_size(need, BOUNDS) == size


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_server(make_settings(tmp_path / "data", workers={"size": 2})) as running:
        yield running


async def _patch(server: Running, body: Any, status: int = 200) -> Any:
    async with server.http.patch("/api/v1/workers", json=body) as answer:
        content = await answer.json()
        assert answer.status == status, content
        return content


async def _submit(server: Running, count: int) -> dict[str, Any]:
    files = [(f"{n}.jpg", make_jpeg(64 + n, 48)) for n in range(count)]
    form = form_of(*files, spec=SPEC)
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job: dict[str, Any] = await answer.json()
        return job


async def _end(server: Running, job: dict[str, Any]) -> dict[str, Any]:
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        last: dict[str, Any] = [json.loads(message.data) async for message in socket][-1]["job"]
        return last


async def test_the_pool_is_resized_while_it_works_and_nothing_is_lost(server: Running) -> None:
    job = await _submit(server, 300)

    async def resize() -> None:
        for size in (1, 4, 2, 3, 1, 5):
            assert (await _patch(server, {"size": size}))["size"] == size

    ended, _ = await asyncio.gather(_end(server, job), resize())
    assert (ended["status"], ended["completed"]) == ("completed", 300)
    images = (await get_json(server, f"{job['links']['images']}?limit=1000"))["items"]
    assert {image["attempts"] for image in images} == {1}
    assert (await get_json(server, "/api/v1/info"))["workers"]["size"] == 5


async def test_a_pool_that_grew_takes_work_at_once(server: Running, tmp_path: Path) -> None:
    await _patch(server, {"size": 1})
    await _patch(server, {"size": 3})
    workers = (await get_json(server, "/api/v1/info"))["workers"]
    assert workers["size"] == 3
    assert workers["min"] is workers["max"] is None
    assert (await _end(server, await _submit(server, 30)))["completed"] == 30


WRONG: list[tuple[Any, str]] = [
    ({"size": 0}, "/size"),
    ({"size": 5000}, "/size"),
    ({"size": "4"}, "/size"),
    ({"size": True}, "/size"),
    ({"size": 2.0}, "/size"),
    ({"size": 2, "more": 1}, "/more"),
    ({}, "/size"),
    ([], ""),
]


async def test_a_wrong_size_is_refused(server: Running) -> None:
    for body, pointer in WRONG:
        problem = await _patch(server, body, 422)
        where = problem["errors"][0]["pointer"]
        assert (body, problem["code"], where) == (body, "invalid_request", pointer)
    assert (await get_json(server, "/api/v1/info"))["workers"]["size"] == 2


async def test_no_more_workers_are_started_than_the_memory_is_enough_for(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", workers={"memory_bytes": 100 << 20})
    async with running_server(settings) as server:
        problem = await _patch(server, {"size": 4}, 422)
        assert problem["errors"] == [{"pointer": "/size", "detail": "from 1 to 3"}]
        assert (await _patch(server, {"size": 3}))["size"] == 3


async def test_a_server_that_stops_changes_nothing_more(server: Running) -> None:
    await server.core.pool.drain(1)
    problem = await _patch(server, {"size": 1}, 503)
    assert problem["code"] == "shutting_down"


async def test_the_pool_follows_the_load_within_its_bounds(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", workers={"size": 1, "min": 1, "max": 4})
    async with running_server(settings) as server:
        workforce = Workforce(server.core.pool, server.core.dispatcher, Bounds(1, 4), 1 << 30)
        job = await _submit(server, 400)
        while not server.core.dispatcher.work_waits:
            await get_json(server, "/livez")
        await workforce.run_once(0.0)
        assert server.core.pool.size >= 2
        assert (await _end(server, job))["completed"] == 400
        await server.core.workforce.resize(4)
        await workforce.run_once(1.0)
        assert server.core.pool.size == 4
        await workforce.run_once(1.0 + SHRINK_AFTER_S)
        assert server.core.pool.size == 1
        workers = (await get_json(server, "/api/v1/info"))["workers"]
        assert (workers["min"], workers["max"]) == (1, 4)
        assert (await _patch(server, {"size": 5}, 422))["errors"][0]["pointer"] == "/size"


async def test_a_pool_that_was_busy_to_the_last_worker_shrinks_all_the_same(
    server: Running,
) -> None:
    workforce = Workforce(server.core.pool, server.core.dispatcher, Bounds(1, 2), 1 << 30)
    job = await _submit(server, 400)
    while workforce.facts().busy < 2:
        await get_json(server, "/livez")
    await workforce.run_once(0.0)
    await _end(server, job)
    await workforce.run_once(1.0)
    await workforce.run_once(1.0 + SHRINK_AFTER_S)
    assert server.core.pool.size == 1
