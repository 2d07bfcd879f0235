"""Who is served when: priorities, and turns between jobs."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.pictures import make_jpeg
from tests.runtime import faulty
from tests.runtime.faulty import fault
from tests.servers import Running, form_of, get_json, make_settings, running_server

RECIPE = {"variants": [{"name": "only", "width": 20, "format": "png"}]}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_server(make_settings(tmp_path / "data"), faulty.render) as running:
        yield running


async def _submit(server: Running, files: list[tuple[str, bytes]], priority: str) -> dict[str, Any]:
    spec = json.dumps({"recipe": RECIPE, "priority": priority})
    async with server.http.post("/api/v1/jobs", data=form_of(*files, spec=spec)) as answer:
        assert answer.status == 202
        job: dict[str, Any] = await answer.json()
        return job


async def _end_of(server: Running, job: dict[str, Any]) -> list[dict[str, Any]]:
    """The job's images, once it has ended."""
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        async for _ in socket:
            pass
    images: list[dict[str, Any]] = (await get_json(server, f"{job['links']['images']}?limit=1000"))[
        "items"
    ]
    return images


async def _race(server: Running, gate: Path, first: str, second: str) -> int:
    """How many of 150 images of an earlier job ended before the one of a later job, which
    came while the only worker was held up."""
    os.mkfifo(gate)
    many = [("gated", fault("gate", gate)), *((f"{n}", make_jpeg(30 + n, 20)) for n in range(150))]
    long_job = await _submit(server, many, first)
    opened = await asyncio.to_thread(gate.open, "w")
    short_job = await _submit(server, [("late", make_jpeg(30, 20))], second)
    opened.close()
    (late,) = await _end_of(server, short_job)
    images = await _end_of(server, long_job)
    return sum(image["finished_at"] < late["finished_at"] for image in images)


async def test_one_image_does_not_wait_behind_a_long_job(server: Running, tmp_path: Path) -> None:
    assert await _race(server, tmp_path / "gate", "normal", "normal") < 40


async def test_a_higher_priority_goes_first(server: Running, tmp_path: Path) -> None:
    assert await _race(server, tmp_path / "gate", "normal", "high") < 20


async def test_a_lower_priority_waits_for_the_rest(server: Running, tmp_path: Path) -> None:
    assert await _race(server, tmp_path / "gate", "normal", "low") > 130
