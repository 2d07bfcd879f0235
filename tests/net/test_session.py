"""No address inside is asked, however it is spelled, and wherever it comes from."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.resolver import ThreadedResolver

from imgsvc.net.guard import Bar, Blocked, Guard
from imgsvc.net.session import open_session

SPELLINGS = [
    "http://127.0.0.1/", "http://127.1/", "http://127.0.1/", "http://2130706433/",
    "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://017700000001/",
    "http://0/", "http://0.0.0.0/", "http://localhost/", "http://LOCALHOST/",
    "http://localhost./", "http://127.0.0.1./", "http://%31%32%37.0.0.1/",
    "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/", "http://127\u30020\u30020\u30021/",
    "http://\uff11\uff12\uff17.1/", "http://0x7f.1/", "http://0x/", "http://127.0.0.1../",
    "http://[::ffff:0:0]/", "http://[2001:4860::5efe:7f00:1]/", "http://[fe80::1%25%0a]/",
    "http://ip6-localhost/", "http://168.63.129.16/", "http://[64:ff9b::a83f:8110]/",
    "http://127.0.0.1:8080/", "https://127.0.0.1/", "http://[::1]/", "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
    "http://[fe80::1%25lo]/", "http://[fec0::1]/", "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/", "http://0xA9FEA9FE/", "http://[fd00:ec2::254]/",
    "http://10.0.0.1/", "http://192.168.1.1/", "http://172.16.0.1/",
]  # fmt: skip


class Listener:
    """A server on loopback that counts who comes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections = 0


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    found = Listener(server.sockets[0].getsockname()[1])
    async with server:
        yield found


async def ask(guard: Guard, url: str) -> None:
    async with (
        open_session(
            guard, connect_timeout_s=5, total_timeout_s=5, connections=4, headers={}
        ) as session,
        session.get(guard.check_url(url), allow_redirects=False) as answer,
    ):
        await answer.read()


@pytest.mark.parametrize("url", SPELLINGS)
async def test_no_spelling_of_an_address_inside_is_asked(url: str, listener: Listener) -> None:
    """On the port where somebody listens, unless the spelling has one of its own."""
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    aimed = place if place.rpartition("]")[2].count(":") else f"{place}:{listener.port}"
    with pytest.raises(Blocked):
        await ask(Guard(), f"{scheme}://{aimed}{slash}{path}")
    assert listener.connections == 0


def answer_with(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """What the name server says: the network beyond the machine."""

    async def resolve(_self: Any, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        return [
            {
                "hostname": host, "host": address, "port": port, "proto": 0, "flags": 0,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
            }
            for address in addresses
        ]  # fmt: skip

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)


@pytest.mark.parametrize(
    "addresses",
    [("127.0.0.1",), ("8.8.8.8", "127.0.0.1"), ("127.0.0.1", "8.8.8.8"), ("::1", "127.0.0.1")],
)
async def test_a_name_that_leads_inside_is_not_asked(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    answer_with(monkeypatch, *addresses)
    with pytest.raises(Blocked) as caught:
        await ask(Guard(), f"http://public.example:{listener.port}/")
    assert caught.value.bar is Bar.ADDRESS
    assert not any(address in str(caught.value) for address in addresses)
    assert listener.connections == 0


async def test_a_name_that_leads_elsewhere_after_the_check_is_stopped_at_the_socket(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_with(monkeypatch, "127.0.0.1")
    guard = Guard()
    checks = iter([None])
    check = Guard.check_address

    def check_late(self: Guard, address: str) -> None:
        """The resolver's look sees nothing wrong."""
        if next(checks, "again") is not None:
            check(self, address)

    monkeypatch.setattr(Guard, "check_address", check_late)
    with pytest.raises(Blocked):
        await ask(guard, f"http://public.example:{listener.port}/")
    assert listener.connections == 0


async def test_a_name_server_that_is_silent_holds_up_nobody_elses_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silence = threading.Event()

    def wait_for_ever(*_: Any, **__: Any) -> Any:
        silence.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", wait_for_ever)
    async with open_session(
        Guard(), connect_timeout_s=5, total_timeout_s=5, connections=64, headers={}
    ) as session:
        asked = [asyncio.ensure_future(session.get(f"http://n{n}.example/")) for n in range(64)]
        await asyncio.sleep(0)
        try:
            assert await asyncio.wait_for(asyncio.to_thread(lambda: "work"), 30) == "work"
        finally:
            silence.set()
            answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(answer, aiohttp.ClientError) for answer in answers)


async def test_private_addresses_are_asked_where_that_is_allowed(
    aiohttp_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(dict(request.headers))
        response = web.Response(text="here")
        response.set_cookie("remember", "me")
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    server = await aiohttp_server(app)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    guard = Guard(allow_private=True)
    async with open_session(
        guard, connect_timeout_s=5, total_timeout_s=5, connections=4, headers={"X-A": "b"}
    ) as session:
        for _ in range(2):
            async with session.get(guard.check_url(str(server.make_url("/")))) as answered:
                assert await answered.text() == "here"
    assert [headers["X-A"] for headers in seen] == ["b", "b"]
    assert not any("Cookie" in headers for headers in seen)


async def test_what_is_blocked_is_told_apart_from_what_failed(unused_tcp_port: int) -> None:
    with pytest.raises(aiohttp.ClientError):
        await ask(Guard(allow_private=True), f"http://127.0.0.1:{unused_tcp_port}/")


async def test_names_are_looked_up_in_threads_of_their_own(listener: Listener) -> None:
    """Everybody else's are busy: with names of theirs that lead nowhere, say."""
    busy = threading.Event()
    with ThreadPoolExecutor(1) as everybodys:
        asyncio.get_running_loop().set_default_executor(everybodys)
        everybodys.submit(busy.wait)
        try:
            with pytest.raises(aiohttp.ClientError):  # it hangs up
                await ask(Guard(allow_private=True), f"http://localhost:{listener.port}/")
        finally:
            busy.set()
    assert listener.connections
