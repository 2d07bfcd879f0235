"""A data folder that is moved while its server works: images are made where it is now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from imgsvc.blobs.publication import Publication
from imgsvc.config import Settings
from imgsvc.domain.rendering import RenderTask
from imgsvc.errors import DatabaseBroken
from imgsvc.workers import slot
from imgsvc.workers.scratch import bring_in_all
from tests.fetching.hosts import Gate, answer, running_host
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, make_settings, running_server


async def post(server: Running) -> Any:
    """A job of one photo, as it is answered."""
    form = form_of(("a.jpg", make_jpeg(30, 20)))
    async with server.http.post("/api/v1/jobs", data=form) as response:
        return await response.json()


async def finish(settings: Settings, job: Any) -> str:
    """How the job ends at a server with these settings."""
    async with (
        running_server(settings) as server,
        server.http.ws_connect(job["links"]["events"]) as socket,
    ):
        messages = [json.loads(message.data) async for message in socket]
    return str(messages[-1]["job"]["status"])


async def test_no_image_fails_for_a_data_folder_that_was_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its result and the publishing, before that was noticed."""
    data, moved = tmp_path / "data", tmp_path / "moved"
    with suppress(DatabaseBroken):
        async with running_server(make_settings(data)) as server:
            publish = server.core.blobs.publish

            async def move_first(items: Sequence[Publication]) -> object:
                await asyncio.to_thread(data.rename, moved)
                return await publish(items)

            monkeypatch.setattr(server.core.blobs, "publish", move_first)
            job = await post(server)
            await server.core.failure
    assert await finish(make_settings(moved), job) == "completed"


async def test_no_image_fails_for_an_input_that_was_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is brought to a worker."""
    data, moved = tmp_path / "data", tmp_path / "moved"

    def move_first(task: RenderTask, placed: RenderTask) -> None:
        with suppress(FileNotFoundError):  # another worker's was first
            data.rename(moved)
        bring_in_all(task, placed)

    with suppress(DatabaseBroken), monkeypatch.context() as patch:
        async with running_server(make_settings(data)) as server:
            patch.setattr(slot, "bring_in_all", move_first)
            job = await post(server)
            await server.core.failure
    assert await finish(make_settings(moved), job) == "completed"


async def test_no_image_fails_for_being_fetched_meanwhile(tmp_path: Path) -> None:
    data, moved = tmp_path / "data", tmp_path / "moved"
    fetch = {"allow_private": True}
    async with running_host() as host:
        picture = answer(make_jpeg(30, 20))
        gate = Gate(picture)
        host.answers["/a"] = [gate, picture]
        with suppress(DatabaseBroken):
            async with running_server(make_settings(data, fetch=fetch)) as server:
                spec = {"images": [{"url": host.url("/a")}]}
                async with server.http.post("/api/v1/jobs", json=spec) as response:
                    job = await response.json()
                await gate.reached.wait()
                await asyncio.to_thread(data.rename, moved)
                gate.opened.set()
                await server.core.failure
        assert await finish(make_settings(moved, fetch=fetch), job) == "completed"
