"""Clients of all kinds at once, none of whom minds a server that dies under him."""

from __future__ import annotations

import asyncio
import io
import json
import random
import zipfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from typing import Any

import aiohttp

from tests.torture.orders import KINDS, PICTURES, RECIPE, Order, OrderBook

LOST = (aiohttp.ClientError, OSError, TimeoutError)
"""What a client sees of a server that dies."""

LATER = {409, 429, 503}
"""Asked to come again: the server stops, or the first request with the key still runs."""


class Traffic:
    """faults: what no server may answer. seen: outputs of images that somebody saw completed."""

    def __init__(self, book: OrderBook, dice: random.Random) -> None:
        self.book = book
        self.faults: list[str] = []
        self.seen: dict[tuple[str, int], list[str]] = {}
        self._dice = dice

    async def run(self, url: str) -> None:
        """Everything that clients do, each a little, or as far as the server lives."""
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(url, timeout=timeout) as http:
            kinds = list(KINDS)
            self._dice.shuffle(kinds)
            await asyncio.gather(
                *map(
                    _survive,
                    (
                        self.repeat(http),
                        self._order(http, kinds[:3]),
                        self._order(http, kinds[3:]),
                        self._break_off(http),
                        self._download(http),
                        self._back_up(http),
                        self._render(http),
                        self._change(http),
                        self._follow(http),
                    ),
                )
            )

    async def repeat(self, http: aiohttp.ClientSession) -> None:
        """Go on with what was not acknowledged."""
        for order in list(self.book.orders):
            if order.repeats and not order.is_done:
                await self._carry_out(http, order)

    async def follow(self, http: aiohttp.ClientSession, order: Order) -> None:
        """To the end of the job, or of the server."""
        async with http.ws_connect(f"/api/v1/jobs/{order.job_id}/events") as socket:
            async for frame in socket:
                message = frame.json()
                if message["type"] == "image" and message["image"]["status"] == "completed":
                    image = message["image"]
                    outputs = sorted(output["sha256"] for output in image["outputs"])
                    self.seen[str(order.job_id), image["index"]] = outputs

    async def _order(self, http: aiohttp.ClientSession, kinds: list[str]) -> None:
        for kind in kinds:
            await self._carry_out(http, self.book.make(kind))

    async def _carry_out(self, http: aiohttp.ClientSession, order: Order) -> None:
        """An answer in the 200s is an acknowledgement; everything else is none."""
        while not order.is_done:
            step = order.steps[order.done]
            request = step.build()
            headers = dict(request.pop("headers", {}))
            if order.repeats:
                headers["Idempotency-Key"] = f"{order.label}-{order.done}"
            path = step.path.format(id=order.job_id) if "{id}" in step.path else step.path
            async with http.post(path, headers=headers, **request) as answer:
                content = await answer.json()
            if answer.status in LATER:
                return
            if answer.status not in {200, 202}:
                self.faults.append(f"{order.label}: {answer.status} {content}")
                order.repeats = False
                return
            order.job_id = order.job_id or content["id"]
            order.done += 1

    async def _break_off(self, http: aiohttp.ClientSession) -> None:
        """An upload that ends half-way leaves nothing."""
        label = f"{self.book.name}-broken"
        headers = {"Content-Type": "multipart/form-data; boundary=cut"}
        async with http.post("/api/v1/jobs", data=_half(label), headers=headers):
            pass

    async def _download(self, http: aiohttp.ClientSession) -> None:
        order = self.book.pick()
        if order is None:
            return
        async with http.get(f"/api/v1/jobs/{order.job_id}/archive.zip") as answer:
            if answer.status != 200:
                return  # deleted meanwhile
            content = await answer.read()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if damaged := archive.testzip():
                self.faults.append(f"{order.label}: {damaged} in its archive")

    async def _back_up(self, http: aiohttp.ClientSession) -> None:
        async with http.post("/api/v1/backup") as answer:
            content = await answer.read()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if damaged := archive.testzip():
                self.faults.append(f"{damaged} in a backup")

    async def _render(self, http: aiohttp.ClientSession) -> None:
        async with http.post("/api/v1/render?width=30&format=png", data=PICTURES[0]) as answer:
            await answer.read()

    async def _change(self, http: aiohttp.ClientSession) -> None:
        """Cancel one, take up another, delete a third."""
        if order := self.book.pick(untouched=True):
            order.asked.add("cancel")
            async with http.post(f"/api/v1/jobs/{order.job_id}/cancel"):
                pass
        if order := self.book.pick():
            order.asked.add("retry")
            async with http.post(f"/api/v1/jobs/{order.job_id}/retry"):
                pass
        if order := self.book.pick():
            order.asked.add("delete")
            async with http.delete(f"/api/v1/jobs/{order.job_id}") as answer:
                order.deleted = answer.status == 204

    async def _follow(self, http: aiohttp.ClientSession) -> None:
        if order := self.book.pick():
            await self.follow(http, order)


async def _survive(work: Awaitable[None]) -> None:
    with suppress(*LOST):
        await work


async def _half(label: str) -> AsyncIterator[bytes]:
    spec: dict[str, Any] = {"label": label, "recipe": RECIPE}
    yield b'--cut\r\nContent-Disposition: form-data; name="spec"\r\n\r\n'
    yield json.dumps(spec).encode() + b"\r\n"
    for picture in PICTURES[:4]:
        yield b'--cut\r\nContent-Disposition: form-data; name="f"; filename="a.jpg"\r\n\r\n'
        yield picture + b"\r\n"
    raise OSError("the client goes away")
