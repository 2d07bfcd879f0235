"""Work that goes on while the number of workers changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsvc.domain.states import JobState
from imgsvc.service.wait import Waiter
from tests.runtime.faulty import fault, render
from tests.servers import Running, form_of, get_json, make_settings, running_server
from tests.workers.conftest import Gate

MIB = 1 << 20


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()


async def post(server: Running, content: bytes) -> str:
    form = form_of(("a.jpg", content), spec=json.dumps({"preset": "thumbnail"}))
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job = await answer.json()
        assert answer.status == 202, job
    return str(job["id"])


async def test_a_heavy_image_that_waits_gets_its_turn_after_a_resize(
    tmp_path: Path, gate: Gate
) -> None:
    settings = make_settings(tmp_path / "data", workers={"size": 4, "memory_bytes": 400 * MIB})
    async with running_server(settings, render) as server:
        word, _, rest = gate.content.partition(" ")
        while (await get_json(server, "/api/v1/info"))["workers"]["idle"] < 4:
            pass  # what is sent to the only worker that is warm waits behind what it does
        jobs = [await post(server, fault(word, rest))]
        jobs.append(await post(server, fault("needs-memory", 150 * MIB)))
        while not server.core.dispatcher._waiting:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
        async with server.http.patch("/api/v1/workers", json={"size": 2}) as answer:
            assert answer.status == 200
        gate.open()
        jobs.append(await post(server, fault("ok")))
        waiter = Waiter(server.core.store, server.core.hub)
        for job_id in jobs:
            assert (await waiter.wait(job_id, 30)).state is JobState.COMPLETED
