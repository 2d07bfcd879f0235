"""Images by URL over HTTP, from the submit to the outputs."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.fetching.hosts import Gate, Host, answer, redirect, running_host
from tests.pictures import make_jpeg
from tests.servers import Running, get_json, make_settings, running_server

TINY = {"variants": [{"name": "only", "width": 20, "format": "png"}]}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    fetch = {"allow_private": True}
    settings = make_settings(tmp_path_factory.mktemp("data"), fetch=fetch)
    async with running_server(settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def host() -> AsyncIterator[Host]:
    async with running_host() as running:
        yield running


async def submit_json(server: Running, wait_s: int = 50, **spec: Any) -> dict[str, Any]:
    body = {"recipe": TINY, **spec}
    headers = {"Prefer": f"wait={wait_s}"} if wait_s else {}
    async with server.http.post("/api/v1/jobs", json=body, headers=headers) as response:
        job: dict[str, Any] = await response.json()
        assert response.status in (200, 202), job
        return job


async def images_of(server: Running, job: dict[str, Any]) -> list[dict[str, Any]]:
    page = await get_json(server, f"{job['links']['images']}?limit=1000")
    items: list[dict[str, Any]] = page["items"]
    return items


async def test_an_image_by_url_is_fetched_and_made(server: Running, host: Host) -> None:
    picture = make_jpeg(64, 48)
    host.answers["/shop/a.jpg"] = answer(picture)
    job = await submit_json(
        server,
        images=[
            {"url": host.url("/shop/a.jpg")},
            {"data": base64.b64encode(make_jpeg(33, 20)).decode(), "name": "b.jpg"},
            {"url": host.url("/shop/a.jpg"), "name": "c.jpg"},
        ],
    )
    assert (job["status"], job["input_bytes"] > 2 * len(picture)) == ("completed", True)
    images = await images_of(server, job)
    assert [image["name"] for image in images] == ["image-0", "b.jpg", "c.jpg"]
    assert [image["attempts"] for image in images] == [1, 1, 1]
    fetched = images[0]
    assert fetched["source"] == {"kind": "url", "url": host.url("/shop/a.jpg")}
    assert fetched["input"]["size_bytes"] == len(picture)
    assert fetched["outputs"][0]["width"] == 20
    async with server.http.get(fetched["outputs"][0]["url"]) as response:
        assert (await response.read()).startswith(b"\x89PNG")


async def test_a_bad_url_never_fails_a_submit(server: Running, host: Host) -> None:
    host.answers["/a.jpg"] = answer(make_jpeg(30, 20))
    host.answers["/page"] = answer(b"<html>", "text/html")
    urls = [
        "ftp://127.0.0.1/a.jpg", "", "http://", "not a url", "http://user:word@127.0.0.1/a.jpg",
        "http://127.0.0.1/" + "a" * 9000, "http://127.0.0.1/\0", host.url("/gone"),
        host.url("/page"), host.url("/a.jpg"),
    ]  # fmt: skip
    job = await submit_json(server, images=[{"url": url} for url in urls])
    assert job["status"] == "partial"
    codes = [image["error"] and image["error"]["code"] for image in await images_of(server, job)]
    assert codes == ["fetch_blocked"] * 7 + ["fetch_failed", "fetch_not_image", None]
    assert job["errors"] == {"fetch_blocked": 7, "fetch_failed": 1, "fetch_not_image": 1}
    async with server.http.get(job["links"]["report"]) as response:
        assert "a.jpg" in await response.text()


async def test_images_by_url_are_appended(server: Running, host: Host) -> None:
    host.answers["/a.jpg"] = answer(make_jpeg(30, 20))
    job = await submit_json(server, wait_s=0, images=[{"url": host.url("/a.jpg")}], open=True)
    body = {"images": [{"url": host.url("/a.jpg"), "name": "more.jpg"}, {"url": "ftp://x"}]}
    async with server.http.post(job["links"]["images"], json=body) as response:
        accepted = (await response.json())["accepted"]
    assert accepted == [{"index": 1, "name": "more.jpg"}, {"index": 2, "name": "image-2"}]
    async with server.http.post(f"{job['links']['self']}/close") as response:
        assert response.status == 200
    await until_final(server, job)
    assert [image["status"] for image in await images_of(server, job)] == [
        "completed", "completed", "failed",
    ]  # fmt: skip


async def until_final(server: Running, job: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a job's progress, to its end."""
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        return [json.loads(message.data) async for message in socket]


async def test_readers_see_it_being_fetched(server: Running, host: Host) -> None:
    gate = Gate(answer(make_jpeg(31, 20)))
    first = Gate(answer(make_jpeg(32, 20)))
    host.answers |= {"/1": first, "/2": gate}
    images = [{"url": host.url("/1")}, {"url": host.url("/2")}]
    job = await submit_json(server, wait_s=0, images=images)
    await asyncio.gather(first.reached.wait(), gate.reached.wait())
    assert [i["status"] for i in await images_of(server, job)] == ["fetching"] * 2
    assert (await get_json(server, job["links"]["self"]))["status"] == "processing"
    watching = asyncio.create_task(until_final(server, job))
    first.opened.set()
    gate.opened.set()
    messages = await watching
    assert (messages[-1]["type"], messages[-1]["job"]["status"]) == ("end", "completed")


async def test_a_job_can_be_cancelled_and_retried_while_it_is_fetched(
    server: Running, host: Host
) -> None:
    gate = Gate(b"")
    host.answers["/"] = [gate, answer(make_jpeg(33, 20))]
    job = await submit_json(server, wait_s=0, images=[{"url": host.url()}])
    await gate.reached.wait()
    async with server.http.post(f"{job['links']['self']}/cancel") as response:
        assert (await response.json())["status"] == "cancelled"
    (image,) = await images_of(server, job)
    assert (image["status"], image["attempts"], image["error"]) == ("cancelled", 0, None)
    async with server.http.post(f"{job['links']['self']}/retry") as response:
        assert (await response.json())["status"] == "processing"
    await until_final(server, job)
    (image,) = await images_of(server, job)
    assert (image["status"], image["attempts"]) == ("completed", 1)


async def test_a_job_can_be_deleted_while_it_is_fetched(server: Running, host: Host) -> None:
    gate = Gate(b"")
    host.answers["/"] = gate
    job = await submit_json(server, wait_s=0, images=[{"url": host.url()}] * 6)
    await gate.reached.wait()
    async with server.http.delete(job["links"]["self"]) as response:
        assert response.status == 204
    await server.core.fetches.settle()
    assert not (server.core.settings.storage.data_dir / "jobs" / job["id"]).exists()


async def test_what_failed_is_fetched_again_by_hand(server: Running, host: Host) -> None:
    host.answers["/late.jpg"] = [answer(status=404), answer(make_jpeg(34, 20))]
    job = await submit_json(server, images=[{"url": host.url("/late.jpg")}])
    assert job["errors"] == {"fetch_failed": 1}
    body = {"codes": ["fetch_failed"]}
    async with server.http.post(f"{job['links']['self']}/retry", json=body) as response:
        assert response.status == 200
    await until_final(server, job)
    (image,) = await images_of(server, job)
    assert (image["status"], image["attempts"]) == ("completed", 1)


async def test_the_same_bytes_from_elsewhere_are_not_made_again(
    server: Running, host: Host
) -> None:
    host.answers["/x"] = host.answers["/y"] = answer(make_jpeg(71, 35))
    for path in ("/x", "/y"):
        job = await submit_json(server, images=[{"url": host.url(path)}])
    (image,) = await images_of(server, job)
    assert image["outputs"][0]["reused"] is True


async def test_a_repeated_request_fetches_nothing(server: Running, host: Host) -> None:
    host.answers["/once"] = answer(make_jpeg(72, 35))
    body = {"recipe": TINY, "images": [{"url": host.url("/once")}, {"url": "x" * 9000}]}
    headers = {"Idempotency-Key": "urls-1"}
    ids = []
    for _ in range(2):
        async with server.http.post("/api/v1/jobs", json=body, headers=headers) as response:
            ids.append((await response.json())["id"])
    assert ids[0] == ids[1]
    await until_final(server, {"links": {"events": f"/api/v1/jobs/{ids[0]}/events"}})
    assert host.asked == ["/once"]
    body["images"] = [{"url": host.url("/once")}, {"url": "y" * 9000}]
    async with server.http.post("/api/v1/jobs", json=body, headers=headers) as response:
        assert (await response.json())["code"] == "idempotency_mismatch"


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/", "http://[::1]:{port}/", "http://127.1:{port}/",
        "http://localhost:{port}/", "http://10.0.0.1/", "http://[::ffff:127.0.0.1]:{port}/",
        "http://0x7f000001:{port}/",
    ],
)  # fmt: skip
async def test_nothing_inside_is_asked(
    tmp_path_factory: pytest.TempPathFactory, host: Host, url: str
) -> None:
    async with running_server(make_settings(tmp_path_factory.mktemp("data"))) as server:
        job = await submit_json(server, images=[{"url": url.format(port=host.port)}])
        (image,) = await images_of(server, job)
    assert (image["status"], image["error"]["code"]) == ("failed", "fetch_blocked")
    assert image["attempts"] <= 1
    assert host.asked == []


async def test_a_redirect_to_a_host_that_is_not_allowed_is_not_followed(
    tmp_path_factory: pytest.TempPathFactory, host: Host
) -> None:
    host.answers["/"] = redirect(f"http://127.0.0.2:{host.port}/")
    fetch = {"allow_private": True, "allowed_hosts": ["127.0.0.1"]}
    settings = make_settings(tmp_path_factory.mktemp("data"), fetch=fetch)
    async with running_server(settings) as other:
        job = await submit_json(other, images=[{"url": host.url()}])
    assert job["errors"] == {"fetch_blocked": 1}


async def test_inputs_are_dropped_where_that_is_wanted(
    tmp_path_factory: pytest.TempPathFactory, host: Host
) -> None:
    host.answers["/"] = answer(make_jpeg(73, 35))
    data_dir = tmp_path_factory.mktemp("data")
    settings = make_settings(
        data_dir, fetch={"allow_private": True}, storage={"keep_inputs": False}
    )
    async with running_server(settings) as other:
        job = await submit_json(other, images=[{"url": host.url()}])
    assert job["status"] == "completed"
    assert list((data_dir / "jobs" / job["id"] / "in").iterdir()) == []
