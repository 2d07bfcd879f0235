"""Images by URL over HTTP, from the submit to the outputs."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.fetching.hosts import Host, answer, running_host
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
