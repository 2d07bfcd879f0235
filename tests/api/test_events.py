"""Progress over WebSocket and Server-Sent Events."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from imgsvc.api import events as events_module
from imgsvc.domain.job import JobChange
from imgsvc.progress import hub
from tests.factories import make_job
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, get_json, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _start(server: Running, count: int) -> dict[str, Any]:
    form = form_of(*[(f"{n}.jpg", make_jpeg(400, 300)) for n in range(count)])
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job: dict[str, Any] = await answer.json()
        return job


async def _read_all(socket: aiohttp.ClientWebSocketResponse) -> list[dict[str, Any]]:
    return [json.loads(message.data) async for message in socket]


async def test_a_reader_follows_a_job_from_snapshot_to_end(server: Running) -> None:
    job = await _start(server, 6)
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        messages = await _read_all(socket)
        assert socket.close_code == 1000
    assert messages[0]["type"] == "snapshot"
    assert messages[0]["job"]["id"] == job["id"]
    assert messages[-1]["type"] == "end"
    assert messages[-1]["job"]["status"] == "completed"
    seqs = [message["seq"] for message in messages]
    assert seqs == sorted(set(seqs))
    states = {m["image"]["index"]: m["image"]["status"] for m in messages if m["type"] == "image"}
    for index in range(messages[0]["job"]["completed"], 6):
        assert states[index] == "completed"
    summary = messages[-2]["job"]
    assert set(summary) == {
        "id", "status", "total", "completed", "failed", "cancelled", "progress", "eta_s",
    }  # fmt: skip


async def test_a_reader_that_comes_after_the_end_gets_snapshot_and_end(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        messages = await _read_all(socket)
    assert [message["type"] for message in messages] == ["snapshot", "end"]
    assert messages[0]["seq"] < messages[1]["seq"]


async def test_a_reader_of_a_job_that_is_deleted_gets_its_end(server: Running) -> None:
    async with server.http.post("/api/v1/jobs", json={"open": True}) as answer:
        job = await answer.json()  # which is not final before it is closed, however slow this is
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        await socket.receive_json()
        async with server.http.delete(job["links"]["self"]) as answer:
            assert answer.status == 204
        messages = await _read_all(socket)
    assert messages[-1]["type"] == "end"
    assert messages[-1]["job"]["status"] == "cancelled"


async def test_readers_that_do_not_read_cost_nobody_anything(server: Running) -> None:
    stalled = await _start(server, 8)
    sockets = [await server.http.ws_connect(stalled["links"]["events"]) for _ in range(20)]
    other = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    assert other["status"] == "completed"
    for socket in sockets:
        messages = await _read_all(socket)
        assert messages[-1]["type"] == "end"


async def test_an_unknown_job_has_no_events(server: Running) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await server.http.ws_connect("/api/v1/jobs/nonsense/events")
    assert caught.value.status == 404


async def test_events_without_a_stream_are_not_acceptable(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    problem = await get_json(server, job["links"]["events"], 406)
    assert problem["code"] == "not_acceptable"


async def test_server_sent_events_carry_the_same_messages(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    headers = {"Accept": "text/event-stream"}
    async with server.http.get(job["links"]["events"], headers=headers) as answer:
        assert answer.content_type == "text/event-stream"
        blocks = (await answer.text()).strip().split("\n\n")
    events = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    assert [json.loads(event["data"])["type"] for event in events] == ["snapshot", "end"]
    assert [event["id"] for event in events] == [
        str(json.loads(event["data"])["seq"]) for event in events
    ]
    headers["Last-Event-ID"] = events[-1]["id"]
    async with server.http.get(job["links"]["events"], headers=headers) as answer:
        assert answer.status == 204


async def test_all_jobs_can_be_followed_at_once(server: Running) -> None:
    async with server.http.ws_connect("/api/v1/events") as socket:
        snapshot = await socket.receive_json()
        assert snapshot["type"] == "snapshot"
        job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
        async with asyncio.timeout(20):
            while True:
                message = await socket.receive_json()
                assert message["type"] == "job"
                if message["job"]["id"] == job["id"] and message["job"]["status"] == "completed":
                    break


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/event-stream", 204),
        ("text/*", 204),
        ("application/json, text/event-stream;q=0.5", 204),
        ("text/event-stream;q=0", 406),
        ("*/*", 406),
    ],
)
async def test_events_are_sent_to_who_takes_them(server: Running, accept: str, status: int) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    headers = {"Accept": accept, "Last-Event-ID": "9" * 5000}
    async with server.http.get(job["links"]["events"], headers=headers) as answer:
        assert answer.status == status


async def test_a_reader_of_all_jobs_that_falls_behind_is_told_how_all_of_them_stand(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MOST_UNSEEN_JOBS", 3)
    monkeypatch.setattr(events_module, "JOBS_AT_ONCE", 2)
    old = [await submit(server, ("a.jpg", make_jpeg(20, 20))) for _ in range(5)]
    headers = {"Accept": "text/event-stream"}
    async with (
        server.http.ws_connect("/api/v1/events") as socket,
        server.http.get("/api/v1/events", headers=headers) as answer,
    ):
        messages = [await socket.receive_json()]
        assert b'"snapshot"' in await answer.content.readuntil(b"\n\n")
        data = b""
        server.core.hub.publish([JobChange(make_job()) for _ in range(4)])
        new = await submit(server, ("a.jpg", make_jpeg(20, 20)))
        async with asyncio.timeout(20):
            while (messages[-1].get("job") or {"id": None})["id"] != new["id"]:
                messages.append(await socket.receive_json())
            while new["id"].encode() not in data:
                data += await answer.content.readuntil(b"\n\n")
    seqs = [message["seq"] for message in messages]
    assert seqs == sorted(set(seqs))
    told = {message["job"]["id"]: message["job"]["status"] for message in messages[1:]}
    for job in old:
        assert told[job["id"]] == "completed"
        assert job["id"].encode() in data
