"""Following a job through a proxy that answers for the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, web

from imgsvc.client import ApiError, BytesUpload, Client, connection, patience, progress
from imgsvc.client.progress import follow
from tests.client.pictures import picture
from tests.server_process import ServerProcess


@dataclass
class Proxy:
    """refused_sockets, refused_requests: how many of them are still answered with 502, or the
    sockets by another `refusal`. frames: how many of them each socket lets through. over: until
    then those that are left waiting wait.
    """

    server: str
    url: str = ""
    refusal: str = "answer"
    refused_sockets: int = 0
    refused_requests: int = 0
    frames: int = 1_000_000
    sockets: list[ClientWebSocketResponse] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "Upgrade" in request.headers:
            if self.refused_sockets:
                self.refused_sockets -= 1
                return await self._refuse(request)
            return await self._connect(request)
        if self.refused_requests and not self.refused_sockets:
            self.refused_requests -= 1
            raise web.HTTPBadGateway
        url = f"{self.server}{request.path_qs}"
        body = await request.read()
        kind = {"Content-Type": request.headers.get("Content-Type", "text/plain")}
        async with (
            ClientSession() as session,
            session.request(request.method, url, data=body, headers=kind) as response,
        ):
            return web.Response(
                status=response.status,
                body=await response.read(),
                headers={"Content-Type": response.headers.get("Content-Type", "text/plain")},
            )

    async def _refuse(self, request: web.Request) -> web.StreamResponse:
        if self.refusal == "wait":
            await self.over.wait()
        if self.refusal in {"answer", "wait"}:
            raise web.HTTPBadGateway
        socket = web.WebSocketResponse()
        if self.refusal == "close":
            await socket.prepare(request)
            await socket.close()
        elif request.transport is not None:
            request.transport.abort()
        return socket

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async with (
            ClientSession() as session,
            session.ws_connect(f"{self.server}{request.path_qs}") as other,
        ):
            self.sockets.append(other)
            frames = self.frames
            async for frame in other:
                await socket.send_str(frame.data)
                frames -= 1
                if not frames:
                    break
        await socket.close()
        return socket


@pytest.fixture
async def proxy(server: ServerProcess) -> AsyncIterator[Proxy]:
    proxy = Proxy(server.url)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", proxy.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield proxy
    proxy.over.set()
    await runner.cleanup()


@pytest.fixture
async def astray(proxy: Proxy) -> AsyncIterator[Client]:
    """A client beyond the proxy."""
    async with Client(proxy.url) as connected:
        yield connected


@pytest.mark.parametrize("refusal", ["answer", "close", "cut", "wait"])
async def test_where_no_websocket_gets_through_the_job_is_asked_for(
    astray: Client, proxy: Proxy, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if refusal == "wait":
        monkeypatch.setattr(connection, "HANDSHAKE_TIMEOUT_S", 0)
    proxy.refusal, proxy.refused_sockets = refusal, 1_000_000
    job = await astray.submit([BytesUpload(picture(), "a.png"), BytesUpload(b"no", "b.png")])
    messages = [message async for message in astray.follow(job["id"])]
    assert {message["type"] for message in messages[:-1]} == {"snapshot"}
    assert messages[-1] == {"type": "end", "seq": None, "job": await astray.job(job["id"])}
    assert (messages[-1]["job"]["completed"], messages[-1]["job"]["failed"]) == (1, 1)


async def test_that_a_job_is_gone_is_told_there_too(astray: Client, proxy: Proxy) -> None:
    proxy.refused_sockets = 1_000_000
    job = await astray.open_job()
    messages = astray.follow(job["id"])
    assert (await anext(messages))["type"] == "snapshot"
    await astray.delete(job["id"])
    with pytest.raises(ApiError) as caught:
        await anext(messages)
    assert caught.value.code == "not_found"


async def test_a_proxy_whose_server_is_away_for_a_moment_is_asked_again(
    astray: Client, proxy: Proxy
) -> None:
    job = await astray.open_job()
    proxy.refused_sockets, proxy.refused_requests = 1, 2
    messages = astray.follow(job["id"])
    first, second = await anext(messages), await anext(messages)
    assert (first["type"], first["seq"], second["type"]) == ("snapshot", None, "snapshot")
    assert second["seq"] is not None
    assert proxy.refused_requests == 0
    await astray.delete(job["id"])
    assert [message["type"] async for message in messages][-1] == "end"


async def test_a_server_with_nothing_to_tell_has_been_there_until_its_connection_broke(
    astray: Client, proxy: Proxy
) -> None:
    job = await astray.open_job()
    waiting = patience.Patience()
    messages = follow(astray._connection, job["id"], waiting)
    await anext(messages)
    waiting._last_heard_s = float("-inf")
    proxy.refused_sockets, proxy.refused_requests = 1, 1
    (socket,) = proxy.sockets
    await socket.close()
    assert (await anext(messages))["type"] == "snapshot"
    await messages.aclose()


async def test_a_proxy_whose_server_stays_away_is_given_up(
    astray: Client, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await astray.open_job()
    monkeypatch.setattr(patience, "PATIENCE_S", 0)
    proxy.refused_sockets, proxy.refused_requests = 1, 1_000_000
    with pytest.raises(ApiError) as caught:
        await anext(astray.follow(job["id"]))
    assert caught.value.code == "http_502"


async def test_where_a_websocket_is_cut_off_after_a_snapshot_it_is_opened_later_each_time(
    astray: Client, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def note_pause(so_many: int, _: float) -> float:
        tries.append(so_many)
        return 0.0

    monkeypatch.setattr(progress, "pause_s", note_pause)
    job = await astray.open_job()
    proxy.frames = 1
    async with aclosing(astray.follow(job["id"])) as messages:
        for _ in range(3):
            assert (await anext(messages))["type"] == "snapshot"
        proxy.frames = 2
        await anext(messages)
        await astray.append(job["id"], [BytesUpload(b"no", "a.png")])
        assert (await anext(messages))["type"] != "snapshot"
        assert (await anext(messages))["type"] == "snapshot"
        assert tries == [1, 2, 3, 1]
        proxy.frames = 1
        await astray.close(job["id"])
        rest = [message async for message in messages]
    assert (rest[-1]["type"], rest[-1]["job"]["status"]) == ("end", "failed")
