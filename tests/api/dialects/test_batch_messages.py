"""What dialect B tells while a batch is worked on, held back at a host of ours."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.fetching.hosts import Gate, Host, answer, running_host
from tests.pictures import make_jpeg
from tests.servers import Running, get_json, make_settings, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAX_BYTES = 10 << 20

Messages = list[dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    settings = make_settings(tmp_path_factory.mktemp("data"), fetch={"allow_private": True})
    async with running_server(settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def host() -> AsyncIterator[Host]:
    async with running_host() as running:
        yield running


async def _submit(server: Running, *urls: str) -> str:
    body = {"images": [{"url": url} for url in urls]}
    async with server.http.post("/api/v1/batch", json=body) as response:
        document = await response.json()
        assert response.status == 202, document
        job_id: str = document["job_id"]
        return job_id


async def _read_all(socket: aiohttp.ClientWebSocketResponse) -> Messages:
    return [json.loads(message.data) async for message in socket]


async def _post(server: Running, path: str) -> None:
    async with server.http.post(path) as response:
        assert response.status == 200


def _kinds(messages: Messages) -> list[str]:
    return [message["type"] for message in messages if message["type"] != "progress"]


async def test_a_cancel_while_watching_fails_what_is_left(server: Running, host: Host) -> None:
    gate = Gate(b"")
    host.answers |= {"/a": answer(make_jpeg(40, 30)), "/b": gate}
    job_id = await _submit(server, host.url("/a"), host.url("/b"))
    async with server.http.ws_connect(f"/api/v1/batch/{job_id}/ws") as socket:
        messages: Messages = []
        while not messages or messages[-1]["type"] != "image_completed":
            messages.append(await socket.receive_json())
        await gate.reached.wait()
        batch = await get_json(server, f"/api/v1/batch/{job_id}")
        assert (batch["status"], batch["images"][1]["status"]) == ("processing", "processing")
        await _post(server, f"/api/v1/jobs/{job_id}/cancel")
        messages += await _read_all(socket)
        assert socket.close_code == 1000
    assert _kinds(messages) == ["image_completed", "image_failed", "job_complete"]
    failed, last = messages[-2:]
    assert (failed["image"]["error"], failed["image"]["status"]) == ("cancelled", "failed")
    assert (last["status"], last["completed"], last["failed"]) == ("failed", 1, 1)
    assert last["progress"] == 100.0
    assert (await get_json(server, f"/api/v1/batch/{job_id}"))["status"] == "failed"


async def test_who_comes_half_way_is_told_of_what_is_over(server: Running, host: Host) -> None:
    gate = Gate(answer(make_jpeg(41, 30)))
    host.answers |= {"/gone": answer(status=404), "/b": gate}
    job_id = await _submit(server, host.url("/gone"), host.url("/b"))
    async with server.http.ws_connect(f"/api/v1/batch/{job_id}/ws") as first:
        while (await first.receive_json())["type"] != "image_failed":
            pass
        async with server.http.ws_connect(f"/api/v1/batch/{job_id}/ws") as second:
            assert (await second.receive_json())["failed"] == 1
            assert (await second.receive_json())["image"]["index"] == 0
            gate.opened.set()
            assert _kinds(await _read_all(second)) == ["image_completed", "job_complete"]


async def test_an_image_that_is_tried_again_is_told_of_again(server: Running, host: Host) -> None:
    gate = Gate(b"")
    host.answers |= {"/a": [answer(status=404), answer(make_jpeg(42, 30))], "/b": gate}
    job_id = await _submit(server, host.url("/a"), host.url("/b"))
    async with server.http.ws_connect(f"/api/v1/batch/{job_id}/ws") as socket:
        messages: Messages = []
        while not messages or messages[-1]["type"] != "image_failed":
            messages.append(await socket.receive_json())
        await _post(server, f"/api/v1/jobs/{job_id}/retry")
        while messages[-1]["type"] != "image_completed":
            messages.append(await socket.receive_json())
        assert (messages[-1]["image"]["index"], messages[-1]["failed"]) == (0, 0)
    await _post(server, f"/api/v1/jobs/{job_id}/cancel")


async def test_a_batch_that_is_deleted_ends_as_failed(server: Running, host: Host) -> None:
    host.answers["/"] = Gate(b"")
    job_id = await _submit(server, host.url())
    async with server.http.ws_connect(f"/api/v1/batch/{job_id}/ws") as socket:
        await socket.receive_json()
        async with server.http.delete(f"/api/v1/jobs/{job_id}") as response:
            assert response.status == 204
        messages = await _read_all(socket)
        assert socket.close_code == 1000
    assert (messages[-1]["type"], messages[-1]["status"]) == ("job_complete", "failed")


async def test_any_job_can_be_followed_as_a_batch(server: Running, host: Host) -> None:
    host.answers["/"] = answer(make_jpeg(43, 30))
    images = [{"url": host.url()}] * 250
    recipe = {"variants": [{"name": "only", "width": 20}]}
    headers = {"Prefer": "wait=50"}
    body = {"images": images, "recipe": recipe}
    async with server.http.post("/api/v1/jobs", json=body, headers=headers) as response:
        job = await response.json()
        assert job["status"] == "completed"
    async with server.http.ws_connect(f"/api/v1/batch/{job['id']}/ws") as socket:
        messages = await _read_all(socket)
    indexes = [message["image"]["index"] for message in messages[1:-1]]
    assert indexes == list(range(250))
    batch = await get_json(server, f"/api/v1/batch/{job['id']}")
    assert [image["index"] for image in batch["images"]] == indexes


async def test_what_is_fetched_may_have_ten_mib_and_no_more(server: Running, host: Host) -> None:
    largest = make_jpeg(44, 30).ljust(MAX_BYTES, b"\0")
    host.answers |= {
        "/exact": answer(largest),
        "/more": answer(largest + b"\0"),
        "/untold": answer(largest + b"\0", length=None),
    }
    job_id = await _submit(server, *(host.url(f"/{p}") for p in ("exact", "more", "untold")))
    async with server.http.ws_connect(f"/api/v1/batch/{job_id}/ws") as socket:
        await _read_all(socket)
    images = (await get_json(server, f"/api/v1/batch/{job_id}"))["images"]
    assert [image["status"] for image in images] == ["completed", "failed", "failed"]
    message = f"too_many_bytes: The image is larger than {MAX_BYTES} bytes."
    assert [image["error"] for image in images[1:]] == [message] * 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "https://evil.example"}, 403), ({"Host": "evil.example"}, 421)],
)
async def test_pages_of_others_cannot_follow_a_batch(
    server: Running, headers: dict[str, str], status: int
) -> None:
    content = base64.b64encode(make_jpeg(45, 30)).decode()
    body = {"images": [{"base64": content}]}
    async with server.http.post("/api/v1/batch", json=body) as response:
        job_id = (await response.json())["job_id"]
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await server.http.ws_connect(f"/api/v1/batch/{job_id}/ws", headers=headers)
    assert caught.value.status == status


async def test_followers_are_told_when_the_server_stops(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", fetch={"allow_private": True})
    async with running_host() as host, aiohttp.ClientSession() as http:
        host.answers["/"] = gate = Gate(b"")
        async with running_server(settings) as server:
            job_id = await _submit(server, host.url())
            await gate.reached.wait()
            socket = await http.ws_connect(f"{server.url}/api/v1/batch/{job_id}/ws")
            reading = asyncio.create_task(_read_all(socket))
        messages = await reading
    assert (messages[0]["type"], _kinds(messages)) == ("progress", [])
    assert socket.close_code == 1001
