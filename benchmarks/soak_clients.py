"""The clients of the soak: every kind of use at once, some of it rude, until the time is over."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp

PAUSE_S = 0.2
PATIENCE_S = 0.5
"""After a request that was refused for a reason that passes."""

_PASSING = frozenset({429, 503, 507})


class Clients:
    """done: what was done, by kind; whatever should not happen begins with "WRONG"."""

    def __init__(self, url: str, image_urls: Sequence[str], photos: Sequence[Path]) -> None:
        self._url = url
        self._image_urls = image_urls
        self._small = [path.read_bytes() for path in photos]
        self._chance = random.Random(1)
        self.done: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        """All of them, for so long."""
        kinds: list[tuple[Callable[[aiohttp.ClientSession], Awaitable[None]], int]] = [
            (self._submit_and_take, 4),
            (self._submit_urls, 1),
            (self._cancel, 1),
            (self._render, 2),
            (self._list, 2),
            (self._read_all_events, 3),
            (self._vanish_sending, 1),
            (self._vanish_receiving, 1),
        ]
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(self._url, connector=connector) as http:
            crews = [self._repeat(kind, http) for kind, crew in kinds for _ in range(crew)]
            tasks = [asyncio.create_task(crew) for crew in crews]
            await asyncio.sleep(seconds)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(
        self, kind: Callable[[aiohttp.ClientSession], Awaitable[None]], http: aiohttp.ClientSession
    ) -> None:
        name = kind.__name__.removeprefix("_")
        while True:
            try:
                await kind(http)
                self.done[name] += 1
            except aiohttp.ClientResponseError as exc:
                passes = exc.status in _PASSING
                self.done[f"{'' if passes else 'WRONG '}{name} {exc.status}"] += 1
                await asyncio.sleep(PATIENCE_S)
            except (aiohttp.ClientError, TimeoutError) as exc:
                self.done[f"WRONG {name} {type(exc).__name__}"] += 1
                await asyncio.sleep(PATIENCE_S)

    # -- kinds of use ------------------------------------------------------------------

    async def _submit_and_take(self, http: aiohttp.ClientSession) -> None:
        job = await self._submit(http, self._chance.randint(5, 25))
        await self._follow(http, job)
        async with http.get(job["links"]["archive"], raise_for_status=True) as answer:
            async for _ in answer.content.iter_any():
                pass
        await self._delete(http, job)

    async def _submit_urls(self, http: aiohttp.ClientSession) -> None:
        images = [{"url": f"{url}?{os.urandom(8).hex()}"} for url in self._image_urls]
        spec = {"images": images, "reuse": False, "preset": "thumbnail"}
        async with http.post("/api/v1/jobs", json=spec, raise_for_status=True) as answer:
            job = await answer.json()
        await self._follow(http, job)
        await self._delete(http, job)

    async def _cancel(self, http: aiohttp.ClientSession) -> None:
        job = await self._submit(http, 20)
        async with http.post(f"{job['links']['self']}/cancel", raise_for_status=True):
            pass
        await self._delete(http, job)

    async def _render(self, http: aiohttp.ClientSession) -> None:
        photo = self._chance.choice(self._small)
        path = "/api/v1/render?width=300&format=jpeg"
        async with http.post(path, data=photo, raise_for_status=True) as answer:
            await answer.read()
        await asyncio.sleep(PAUSE_S)

    async def _list(self, http: aiohttp.ClientSession) -> None:
        async with http.get("/api/v1/jobs?limit=500", raise_for_status=True) as answer:
            jobs = (await answer.json())["items"]
        for path in ("/api/v1/info", "/api/v1/images?status=failed", "/readyz"):
            async with http.get(path, raise_for_status=True) as answer:
                await answer.read()
        for job in jobs[:2]:
            async with http.get(job["links"]["images"]) as answer:  # may be gone by now
                await answer.read()
        await asyncio.sleep(PAUSE_S)

    async def _read_all_events(self, http: aiohttp.ClientSession) -> None:
        headers = {"Accept": "text/event-stream"}
        async with http.get("/api/v1/events", headers=headers, raise_for_status=True) as answer:
            for _ in range(self._chance.randint(100, 2000)):
                await answer.content.readline()

    async def _vanish_sending(self, http: aiohttp.ClientSession) -> None:
        async def half() -> AsyncIterator[bytes]:
            yield self._new_photo()[:5000] * 30
            raise ConnectionAbortedError

        headers = {"Content-Type": "image/jpeg"}
        try:
            async with http.post("/api/v1/jobs", data=half(), headers=headers):
                pass
        except aiohttp.ClientError:
            await asyncio.sleep(PAUSE_S)

    async def _vanish_receiving(self, http: aiohttp.ClientSession) -> None:
        job = await self._submit(http, 10)
        await self._follow(http, job)
        async with http.get(job["links"]["archive"], raise_for_status=True) as answer:
            await answer.content.readany()
            answer.close()
        await self._delete(http, job)

    # -- what they are made of ---------------------------------------------------------

    def _new_photo(self) -> bytes:
        """One that was never sent before: nothing is to be taken from an earlier job."""
        return self._chance.choice(self._small) + os.urandom(16)

    async def _submit(self, http: aiohttp.ClientSession, images: int) -> Any:
        form = aiohttp.FormData()
        form.add_field("spec", json.dumps({"reuse": False}), content_type="application/json")
        for number in range(images):
            form.add_field("files", self._new_photo(), filename=f"{number}.jpg")
        async with http.post("/api/v1/jobs", data=form, raise_for_status=True) as answer:
            return await answer.json()

    async def _follow(self, http: aiohttp.ClientSession, job: Any) -> None:
        async with http.ws_connect(job["links"]["events"]) as socket:
            last = None
            async for message in socket:
                last = json.loads(message.data)
        if last is None or last["type"] != "end":
            self.done["WRONG events broke off"] += 1
        elif last["job"]["status"] != "completed":
            self.done[f"WRONG job {last['job']['status']} {last['job']['errors']}"] += 1
        else:
            self.done["images completed"] += last["job"]["total"]

    async def _delete(self, http: aiohttp.ClientSession, job: Any) -> None:
        for _ in itertools.count():
            async with http.delete(job["links"]["self"]) as answer:
                if answer.status not in _PASSING:
                    answer.raise_for_status()
                    return
            await asyncio.sleep(PATIENCE_S)
