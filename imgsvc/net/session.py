"""A session that leads nowhere but where its guard allows."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from imgsvc.net.guard import Guard


class _NameThreads:
    """What `ThreadedResolver` asks of a loop, on threads of its own: a name server that does
    not answer holds up a thread for half a minute, and the loop's threads have work to do.
    """

    def __init__(self, count: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="imgsvc-names")

    async def getaddrinfo(self, *place: Any, **wanted: Any) -> Any:
        ask = partial(socket.getaddrinfo, *place, **wanted)
        return await self._loop.run_in_executor(self._threads, ask)

    async def getnameinfo(self, *place: Any) -> Any:
        return await self._loop.run_in_executor(self._threads, socket.getnameinfo, *place)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Resolver(AbstractResolver):
    """A name with one address inside is not asked at any of its others either.

    threads: names that are asked for at once.
    """

    def __init__(self, guard: Guard, threads: int) -> None:
        self._guard = guard
        self._names = _NameThreads(threads)
        self._resolver = ThreadedResolver(cast("asyncio.AbstractEventLoop", self._names))

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for answer in found:
            self._guard.check_address(answer["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()
        self._names.close()


def open_session(
    guard: Guard,
    *,
    connect_timeout_s: float,
    total_timeout_s: float,
    connections: int,
    headers: dict[str, str],
) -> aiohttp.ClientSession:
    """A session without cookies, proxies, caches of names, and memory of any kind.

    Redirects are followed by who uses it, through `Guard.check_url`. connections: at once.
    """
    connector = aiohttp.TCPConnector(
        limit=connections,
        resolver=_Resolver(guard, connections),
        use_dns_cache=False,
        socket_factory=guard.make_socket,
    )
    timeout = aiohttp.ClientTimeout(total=total_timeout_s, sock_connect=connect_timeout_s)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        trust_env=False,
        auto_decompress=False,
    )
