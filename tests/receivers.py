"""Receivers of webhooks on loopback: they keep what came, and answer as they are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - of the standard's example
OTHER_SECRET = "whsec_" + "b3RoZXIg" * 4

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Message:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        kind: str = self.document["type"]
        return kind


class Receiver:
    """answers: to the first messages, in order; the others are taken with 204."""

    def __init__(self) -> None:
        self.url = ""
        self.messages: list[Message] = []
        self.answers: list[Answer] = []
        self._news = asyncio.Event()

    def will(self, *statuses: int, **headers: str) -> None:
        """Answer the next messages with these."""

        def answer_with(status: int) -> Answer:
            async def answer(_request: web.Request) -> web.StreamResponse:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return web.Response(status=status, headers=named)

            return answer

        self.answers += [answer_with(status) for status in statuses]

    async def wait_for(self, count: int) -> list[Message]:
        """All messages, once there are as many."""
        while len(self.messages) < count:
            self._news.clear()
            await self._news.wait()
        return self.messages

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.messages.append(Message(request.path, headers, body))
        self._news.set()
        answer = self.answers.pop(0) if self.answers else None
        return await answer(request) if answer else web.Response(status=204)


@asynccontextmanager
async def open_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        receiver.url = f"http://{host}:{port}"
        yield receiver
    finally:
        await runner.cleanup()
