"""Health, info, ids and errors that belong to no resource."""

from __future__ import annotations

import asyncio

import pytest

from imgsvc.imaging.encoders import ENCODERS
from imgsvc.imaging.formats import list_formats
from tests.servers import Running, get_json

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
async def test_a_running_server_is_well(server: Running, path: str) -> None:
    assert (await get_json(server, path))["status"] == "ok"


async def test_info_says_what_this_server_is_and_allows(server: Running) -> None:
    await server.core.pool.formats()  # there is a worker that is warm
    info = await get_json(server, "/api/v1/info")
    assert info["workers"]["size"] == 1
    assert info["limits"]["max_image_bytes"] == 1 << 20
    assert set(info["formats"]["write"]) == set(ENCODERS)
    assert info["formats"]["read"] == list(list_formats().read)
    assert {"jpeg", "avif", "bmp", "psd", "heic", "jxl"} <= set(info["formats"]["read"])


async def test_info_does_not_wait_for_ever_for_a_worker(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgsvc.api.health.FORMATS_WITHIN_S", 0)
    monkeypatch.setattr(server.core.pool, "formats", asyncio.Event().wait)
    info = await get_json(server, "/api/v1/info")
    assert info["formats"] is None
    assert info["limits"]["max_image_bytes"] == 1 << 20


async def test_an_unknown_address_and_a_wrong_method_are_problems_too(server: Running) -> None:
    assert (await get_json(server, "/nope", 404))["code"] == "not_found"
    async with server.http.put("/api/v1/jobs") as answer:
        assert (answer.status, (await answer.json())["code"]) == (405, "method_not_allowed")
        assert set(answer.headers["Allow"].split(",")) >= {"GET", "POST"}


async def test_a_request_id_is_echoed_or_made(server: Running) -> None:
    async with server.http.get("/livez", headers={"X-Request-ID": "abc-1"}) as answer:
        assert answer.headers["X-Request-ID"] == "abc-1"
    async with server.http.get("/nope", headers={"X-Request-ID": "x" * 500}) as answer:
        assert len(answer.headers["X-Request-ID"]) == 36
