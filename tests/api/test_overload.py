"""Clients that take more than their share: slow ones, silent ones, too many of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from imgsvc.api import app as api_app
from imgsvc.api import connections, crowd
from imgsvc.api.connections import Runner
from imgsvc.api.crowd import Crowd
from imgsvc.api.traffic import Traffic
from imgsvc.intake import patient_reader
from imgsvc.intake.documents import DocumentRoom
from imgsvc.telemetry.metrics import Metrics
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, get_json, make_settings, running_server

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@asynccontextmanager
async def served(
    handler: object, *, most: int = 100, max_unsent_bytes: int = crowd.MAX_UNSENT_BYTES
) -> AsyncIterator[tuple[str, int]]:
    """The address at which `handler` answers `GET /`."""
    app = web.Application()
    app.router.add_get("/", handler)  # type: ignore[arg-type]
    crowd_ = Crowd(most, max_unsent_bytes=max_unsent_bytes)
    runner = Runner(app, crowd=crowd_, traffic=Traffic(Metrics("0")))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield host, port
    finally:
        await runner.cleanup()


async def say_ok(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    return (
        int(head[0].split()[1]),
        headers,
        await reader.readexactly(int(headers["content-length"])),
    )


async def test_a_head_that_does_not_come_to_its_end_is_a_request_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.05)
    async with served(say_ok) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        for sent in (GET, GET[:10]):
            writer.write(sent)
            status, headers, body = await read_answer(reader)
        assert (status, headers["connection"]) == (408, "close")
        assert json.loads(body)["code"] == "request_timeout"
        assert await reader.read() == b""
        writer.close()


async def test_a_head_that_comes_in_pieces_is_understood() -> None:
    async with served(say_ok) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        for byte in GET:
            writer.write(bytes([byte]))
            await writer.drain()
        assert (await read_answer(reader))[0] == 200
        writer.close()


async def test_one_connection_too_many_takes_the_place_of_the_longest_idle_one() -> None:
    async with served(say_ok, most=2) as (host, port):
        opened = [await asyncio.open_connection(host, port) for _ in range(2)]
        for reader, writer in opened:
            writer.write(GET)
            assert (await read_answer(reader))[0] == 200
        (first, _), (second, of_second) = opened
        newest, of_newest = await asyncio.open_connection(host, port)
        assert await first.read() == b""
        for reader, writer in ((newest, of_newest), (second, of_second)):
            writer.write(GET)
            assert (await read_answer(reader))[0] == 200
        for writer in (of_newest, *(writer for _, writer in opened)):
            writer.close()


async def test_while_all_are_being_served_one_connection_too_many_is_told_so() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_request: web.Request) -> web.Response:
        begun.set()
        await go_on.wait()
        return web.Response(text="ok")

    async with served(wait, most=1) as (host, port):
        served_one, writer = await asyncio.open_connection(host, port)
        writer.write(GET)
        await begun.wait()
        reader, refused = await asyncio.open_connection(host, port)
        refused.write(GET)
        status, headers, body = await read_answer(reader)
        refused.close()
        assert status == 429
        assert headers["retry-after"]
        assert json.loads(body)["code"] == "rate_limited"
        go_on.set()
        assert (await read_answer(served_one))[0] == 200
        writer.close()


class Someone:
    """A connection that remembers whether it had to go."""

    is_retired = False

    def unsent_bytes(self) -> int:
        return 0

    def retire(self) -> None:
        self.is_retired = True

    def drop(self) -> None:
        raise AssertionError("Nothing waits for it.")


def test_a_new_connection_makes_way_only_when_it_has_asked_for_nothing_for_a_while() -> None:
    now_s = 0.0
    full = Crowd(2, clock=lambda: now_s)
    busy, new, served_one, late = Someone(), Someone(), Someone(), Someone()
    assert full.enter(busy)
    full.begin(busy)
    assert full.enter(new)
    assert not full.enter(late)
    now_s = crowd.NEW_S
    assert full.enter(served_one)
    assert (busy.is_retired, new.is_retired) == (False, True)
    full.begin(served_one)
    full.end(served_one)
    assert full.enter(late)
    assert (busy.is_retired, served_one.is_retired) == (False, True)


def test_where_all_are_new_and_silent_the_oldest_makes_way_after_a_moment() -> None:
    now_s = 0.0
    full = Crowd(2, clock=lambda: now_s)
    silent, younger, asks, late = Someone(), Someone(), Someone(), Someone()
    assert full.enter(silent)
    assert full.enter(younger)
    now_s = crowd.PRESSED_S
    assert full.enter(asks)
    assert (silent.is_retired, younger.is_retired) == (True, False)
    full.begin(asks)
    assert full.enter(late)
    assert (younger.is_retired, asks.is_retired) == (True, False)


def test_who_is_idle_for_longest_makes_way_first_new_or_served() -> None:
    now_s = 0.0
    full = Crowd(2, clock=lambda: now_s)
    silent, asks, late = Someone(), Someone(), Someone()
    assert full.enter(silent)
    assert full.enter(asks)
    full.begin(asks)
    now_s = crowd.NEW_S
    full.end(asks)
    assert full.enter(late)
    assert (silent.is_retired, asks.is_retired) == (True, False)


async def test_whoever_reads_nothing_is_dropped_when_too_much_waits_for_all() -> None:
    answer_bytes = 8 << 20

    async def say_much(_request: web.Request) -> web.Response:
        response = web.Response(body=bytes(answer_bytes))
        response.force_close()
        return response

    async def count(reader: asyncio.StreamReader) -> int:
        counted = 0
        try:
            while chunk := await reader.read(1 << 16):
                counted += len(chunk)
        except ConnectionResetError:
            return 0
        return counted

    async with served(say_much, max_unsent_bytes=2 * answer_bytes) as (host, port):
        silent = [await asyncio.open_connection(host, port, limit=1024) for _ in range(6)]
        for _, writer in silent:
            writer.write(GET)
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(GET)
        assert await count(reader) > answer_bytes
        writer.close()
        whole = [await count(reader) > answer_bytes for reader, _ in silent]
        assert whole.count(False) >= 2
        for _, writer in silent:
            writer.close()


async def test_a_connection_whose_client_reads_nothing_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "UNREAD_S", 0.2)
    ended = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(1 << 20))
        finally:
            ended.set()

    async with served(stream) as (host, port):
        reader, writer = await asyncio.open_connection(host, port, limit=1024)
        writer.write(GET)
        await ended.wait()
        writer.close()
        assert reader


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    settings = make_settings(
        tmp_path / "data", server={"max_uploads": 2}, limits={"max_pending_images": 3}
    )
    async with running_server(settings) as running:
        yield running


async def begin_slow_uploads(
    server: Running,
) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """As many as there are places, each with the beginning of its bytes."""
    url = urlsplit(server.url)
    head = (
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        b"Content-Length: 100000\r\n\r\n"
    )
    slow = [await asyncio.open_connection(url.hostname, url.port) for _ in range(2)]
    for _, writer in slow:
        writer.write(head + b"\xff\xd8")
        await writer.drain()
    return slow


async def test_one_upload_too_many_is_told_to_come_again_and_others_are_served(
    server: Running,
) -> None:
    slow = await begin_slow_uploads(server)
    code = None
    while code != "rate_limited":  # until those two have begun; the queue may be full before
        async with server.http.post("/api/v1/jobs", data=bytes(100_000)) as answer:
            status, headers, code = answer.status, answer.headers, (await answer.json()).get("code")
    assert (status, headers["Retry-After"]) == (429, "5")
    async with server.http.post("/api/v1/render?preset=thumbnail", data=make_jpeg()) as answer:
        assert answer.status == 200  # small
    for _, writer in slow:
        writer.close()
    while status != 202:  # until it is noticed that they have gone
        async with server.http.post("/api/v1/jobs", data=form_of(("a", bytes(100_000)))) as answer:
            status = answer.status
            assert status in {202, 429}
    assert (await get_json(server, "/readyz")) == {"status": "ok"}


async def test_the_slowest_upload_makes_way_for_one_that_finds_no_place(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient_reader, "CROWDED_AFTER_S", -1.0)
    slow = await begin_slow_uploads(server)
    answers = [asyncio.create_task(read_answer(reader)) for reader, _ in slow]
    given_up: list[asyncio.Task[tuple[int, dict[str, str], bytes]]] = []
    status = 0
    while not given_up or status != 202:  # until those two have begun, and one has made way
        async with server.http.post("/api/v1/jobs", data=bytes(100_000)) as answer:
            status = answer.status
            assert status in {202, 429}
        given_up = [one for one in answers if one.done()]
    for one in given_up:
        refused, _, body = one.result()
        assert (refused, json.loads(body)["code"]) == (408, "request_timeout")
    for one in answers:
        one.cancel()
    for _, writer in slow:
        writer.close()


async def test_documents_that_find_no_room_are_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = DocumentRoom(600 << 10)
    monkeypatch.setattr(api_app, "DocumentRoom", lambda: room)
    document = b'{"label": "%s"}' % (b"x" * (700 << 10))
    head = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

    async with running_server(make_settings(tmp_path / "data")) as server:

        async def send_whole() -> tuple[int, str | None, str]:
            headers = {"Content-Type": "application/json"}
            async with server.http.post("/api/v1/jobs", data=document, headers=headers) as answer:
                code = (await answer.json())["code"]
                return answer.status, answer.headers.get("Retry-After"), code

        url = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(document) + document[:-1])
        while room.free_bytes > 300 << 10:
            await get_json(server, "/livez")
        assert await send_whole() == (429, "5", "rate_limited")
        small = {"images": [{"url": "http://127.0.0.1:1/a.png"}]}
        async with server.http.post("/api/v1/jobs", json=small) as answer:
            assert answer.status == 202
        writer.write(document[-1:])
        assert b" 422 " in await reader.readline()  # its label is too long
        assert (await send_whole())[0] == 422
        assert room.free_bytes == 600 << 10
        writer.close()
