"""Requests that are much work in one piece are bounded, and others have their turn between."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpClient

from imgsvc.api import bodies
from imgsvc.api.spreadsheet import FLUSH_CHARS, Cell, Table, send_table
from tests.servers import Running, get_json

HEAD = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
PACKED = {"Content-Encoding": "gzip", "Content-Type": "multipart/form-data; boundary=x"}


async def test_others_have_their_turn_while_a_table_is_written(
    aiohttp_client: AiohttpClient,
) -> None:
    turns = 0
    seen: list[int] = []

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def rows() -> AsyncIterator[Sequence[Cell]]:
        for _ in range(50):
            seen.append(turns)
            yield ["x" * (FLUSH_CHARS + 1)]

    async def answer(request: web.Request) -> web.StreamResponse:
        return await send_table(request, "a.csv", Table(), rows())

    app = web.Application()
    app.router.add_get("/", answer)
    client = await aiohttp_client(app)
    counting = asyncio.create_task(count())
    async with client.get("/") as reply:
        await reply.read()
    counting.cancel()
    assert len(seen) == 50
    assert all(before < after for before, after in pairwise(seen))


async def _refused(server: Running, path: str, body: bytes) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    async with server.http.post(path, data=body, headers=headers) as answer:
        problem: dict[str, Any] = await answer.json()
        assert answer.status in {413, 422}, problem
    assert await get_json(server, "/livez") == {"status": "ok"}
    return problem


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/batch"])
@pytest.mark.parametrize("image", [b"{}", b"1", b'{"a":1}'])
async def test_more_images_than_a_job_may_have_are_not_judged(
    server: Running, path: str, image: bytes
) -> None:
    many = b'{"images":[' + b",".join([image] * 100_000) + b"]}"
    assert (await _refused(server, path, many))["code"] == "too_many_images"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/api/v1/jobs", {"images": [1] * 8}, "/images/0"),
        ("/api/v1/jobs", {"webhook": {"events": [1] * 9}}, "/webhook/events/0"),
        ("/api/v1/batch", {"images": [1] * 8}, "/images/0"),
        ("/api/v1/jobs/x/retry", {"indexes": [-1] * 100_000}, "/indexes/0"),
        ("/api/v1/jobs/x/retry", {"codes": ["x"] * 100_000}, "/codes/0"),
    ],
)
async def test_of_a_list_the_first_wrong_place_is_told(
    server: Running, path: str, body: dict[str, Any], pointer: str
) -> None:
    problem = await _refused(server, path, json.dumps(body).encode())
    assert [e["pointer"] for e in problem["errors"] if e["pointer"].endswith("0")] == [pointer]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", ["/api/v1/jobs", "/jobs", "/api/v1/jobs/x/retry"])
async def test_an_object_has_only_so_many_keys(server: Running, path: str) -> None:
    problem = await _refused(server, path, json.dumps({f"k{n}": 1 for n in range(1001)}).encode())
    assert problem["code"] == "payload_too_large"


@pytest.mark.asyncio(loop_scope="module")
async def test_what_packs_badly_may_be_large_whatever_it_says_of_its_length(
    server: Running,
) -> None:
    packer = zlib.compressobj(level=0, wbits=31)
    filling = bytes(1 << 20)

    async def chunks() -> AsyncIterator[bytes]:
        yield packer.compress(HEAD)
        for _ in range(110):
            yield packer.compress(filling)
        yield packer.compress(b"\r\n--x--\r\n") + packer.flush()

    async with server.http.post("/api/v1/jobs", data=chunks(), headers=PACKED) as answer:
        assert answer.status == 202, await answer.text()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_blank_picture_may_be_packed(server: Running) -> None:
    packed = gzip.compress(HEAD + bytes(bodies.BLANK_BYTES - 100) + b"\r\n--x--\r\n")
    async with server.http.post("/api/v1/jobs", data=packed, headers=PACKED) as answer:
        assert answer.status == 202, await answer.text()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_what_unpacks_to_far_more_than_it_is_is_refused(
    server: Running, is_chunked: bool
) -> None:
    packer = zlib.compressobj(wbits=31)
    pieces = [HEAD, *[bytes(1 << 20)] * 110]
    packed = b"".join(map(packer.compress, pieces)) + packer.flush()

    async def chunks() -> AsyncIterator[bytes]:
        yield packed

    data = chunks() if is_chunked else packed
    async with server.http.post("/api/v1/jobs", data=data, headers=PACKED) as answer:
        problem = await answer.json()
        assert (answer.status, problem["code"]) == (413, "payload_too_large")
        assert "unpacks" in problem["detail"]
