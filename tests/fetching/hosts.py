"""Hosts to fetch from, on loopback, that answer to the byte as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Act = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""What a host does that does not simply answer; the connection is closed after it."""


def answer(
    body: bytes = b"",
    media_type: str | None = "image/jpeg",
    status: int = 200,
    length: int | None = -1,
    **headers: str,
) -> bytes:
    """An HTTP/1.1 answer. length: what it claims; -1 for the truth, None for nothing."""
    lines = [f"HTTP/1.1 {status} Because", "Connection: close"]
    if media_type is not None:
        lines.append(f"Content-Type: {media_type}")
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(location: str, status: int = 302) -> bytes:
    return answer(b"elsewhere", "text/html", status, Location=location)


@dataclass
class Host:
    """answers: by path; of a list one after the other, the last one for ever.

    asked: the paths, in order. requests: what was sent. most_at_once: open requests.
    """

    address: str
    port: int = 0
    answers: dict[str, bytes | Act | list[bytes | Act]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def name(self) -> str:
        """As images say whom they wait for."""
        return f"{self.address}:{self.port}"

    def url(self, path: str = "/") -> str:
        place = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{place}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await self._answer(request, writer)
            finally:
                self.at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: str, writer: asyncio.StreamWriter) -> None:
        path = request.split(" ", 2)[1]
        self.requests.append(request)
        self.asked.append(path)
        found = self.answers.get(path, answer(b"nothing here", "text/plain", 404))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(found, bytes):
            writer.write(found)
            await writer.drain()
        else:
            await found(writer)


@asynccontextmanager
async def running_host(address: str = "127.0.0.1") -> AsyncIterator[Host]:
    host = Host(address)
    tasks: set[asyncio.Task[None]] = set()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(host.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(serve, address, 0)
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Gate:
    """An answer that is held back until the test opens it. reached: somebody waits."""

    def __init__(self, then: bytes) -> None:
        self._then = then
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        self.reached.set()
        await self.opened.wait()
        writer.write(self._then)
        await writer.drain()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """A reset in place of an answer."""
    writer.transport.abort()


class Clock:
    """Milliseconds since 1970, moved by hand."""

    def __init__(self, at_ms: int = 1_800_000_000_000) -> None:
        self.at_ms = at_ms

    def __call__(self) -> int:
        return self.at_ms

    def advance(self, seconds: float) -> None:
        self.at_ms += round(seconds * 1000)
