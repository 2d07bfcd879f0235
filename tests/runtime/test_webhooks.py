"""Webhooks of a whole server: killed, stopped, or with receivers that are dead."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.pictures import make_jpeg
from tests.receivers import Receiver, open_receiver
from tests.server_process import ServerProcess
from tests.servers import form_of, get_json, make_settings, running_server, submit

PICTURE = ("a.jpg", make_jpeg(20, 20))
PRIVATE = {"allow_private": True}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as running:
        yield running


async def be_silent(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


def spec(receiver: Receiver, *events: str) -> str:
    return json.dumps({"webhook": {"url": receiver.url, "events": events or ["job.finished"]}})


async def test_a_kill_before_a_message_has_arrived_loses_none(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver has the message and has not said so: it comes again, and is the same."""
    monkeypatch.setenv("IMGSVC_WEBHOOKS__ALLOW_PRIVATE", "true")
    receiver.answers += [be_silent] * 2
    server = await asyncio.to_thread(ServerProcess, tmp_path / "data", workers=1)
    try:
        form = form_of(PICTURE, spec=spec(receiver, "job.finished", "image.finished"))
        async with (
            aiohttp.ClientSession(base_url=server.url) as http,
            http.post("/api/v1/jobs", data=form) as answer,
        ):
            assert answer.status == 202
        await receiver.wait_for(1)
        await asyncio.to_thread(server.kill)
        before = {message.id: message.body for message in receiver.messages}
        receiver.answers.clear()
        receiver.messages.clear()
        server = await asyncio.to_thread(ServerProcess, tmp_path / "data", workers=1)
        messages = await receiver.wait_for(2)
    finally:
        await asyncio.to_thread(server.stop)
    after = {message.id: message.body for message in messages}
    assert {id_: after.get(id_) for id_ in before} == before
    assert sorted(m.type for m in messages) == ["image.finished", "job.finished"]


async def test_a_receiver_that_never_answers_slows_no_work(
    tmp_path: Path, receiver: Receiver
) -> None:
    """Twenty jobs end, and another receiver hears of its own, while not one try has ended."""
    settings = make_settings(tmp_path / "data", webhooks={**PRIVATE, "timeout_s": 300})
    async with open_receiver() as dead, running_server(settings) as server:
        dead.answers += [be_silent] * 100
        jobs = [await submit(server, PICTURE, spec=spec(dead)) for _ in range(20)]
        assert {job["status"] for job in jobs} == {"completed"}
        await submit(server, PICTURE, spec=spec(receiver))
        await receiver.wait_for(1)
        for job in jobs:
            page = await get_json(server, f"{job['links']['self']}/deliveries")
            assert [item["attempts"] for item in page["items"]] == [0]


async def test_a_server_that_stops_does_not_wait_for_receivers(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers.append(be_silent)
    settings = make_settings(tmp_path / "data", webhooks={**PRIVATE, "timeout_s": 300})
    async with asyncio.timeout(30):
        async with running_server(settings) as server:
            await submit(server, PICTURE, spec=spec(receiver))
            await receiver.wait_for(1)
        async with running_server(settings):
            first, second = await receiver.wait_for(2)
    assert (first.id, first.body) == (second.id, second.body)


async def test_links_begin_with_the_configured_address(tmp_path: Path, receiver: Receiver) -> None:
    base = {"base_url": "https://images.example/"}
    settings = make_settings(tmp_path / "data", webhooks=PRIVATE, server=base)
    async with running_server(settings) as server:
        job = await submit(server, PICTURE, spec=spec(receiver))
        (message,) = await receiver.wait_for(1)
    told: dict[str, Any] = message.document["data"]["job"]
    assert told["links"]["self"] == f"https://images.example{job['links']['self']}"


async def test_a_receiver_inside_is_not_asked_unless_that_is_allowed(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with running_server(make_settings(tmp_path / "data")) as server:
        job = await submit(server, PICTURE, spec=spec(receiver))
        path = f"{job['links']['self']}/deliveries"
        while (item := (await get_json(server, path))["items"][0])["status"] == "pending":
            pass
    assert (item["status"], item["last_error"]) == ("failed", "blocked")
    assert receiver.messages == []
