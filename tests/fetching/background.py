"""Fetches in the background that run when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.config import FetchSettings
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.states import Priority
from imgsvc.fetching.breakers import Breakers
from imgsvc.fetching.fetcher import Fetcher
from imgsvc.fetching.fetches import Fetches
from imgsvc.fetching.url_images import url_image
from imgsvc.intake.headers import weigh
from imgsvc.store.store import Store
from tests.fetching.hosts import Clock
from tests.store.builders import new_job


@dataclass
class Background:
    """Fetches that run when a test says so. fetched: jobs that got work for a worker, and
    arrived says so.
    """

    store: Store
    blobs: BlobStore
    fetches: Fetches
    clock: Clock
    fetched: list[str]
    arrived: asyncio.Event

    async def submit(self, *urls: str, **fields: object) -> Job:
        job = new_job(**fields)
        await self.blobs.stage(job.id).sync()
        images = await weigh([url_image(url, None) for url in urls], job.recipe)
        return await self.store.create_job(job, images, self.clock())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Begin whatever can begin, as soon as it can."""
        task = asyncio.create_task(self.fetches.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def run_once(self) -> None:
        """Begin what can begin, and see it end."""
        await self.fetches.run_once()
        await self.fetches.settle()

    async def run_through(self) -> None:
        """Until nothing is left that could begin now."""
        while any([await self.store.hosts_to_fetch(p, 1) for p in Priority]):
            await self.run_once()

    async def until_fetched(self, count: int) -> None:
        """Return when so many images have arrived in all."""
        while len(self.fetched) < count:
            self.arrived.clear()
            await self.arrived.wait()

    async def image(self, job: Job, index: int = 0) -> Image:
        return await self.store.image(job.id, index)

    async def states(self, job: Job) -> list[str]:
        return [image.state.value async for image in self.store.iter_images(job.id)]

    def kept(self, job: Job) -> list[Path]:
        """What stands on disk for the job."""
        folder = self.blobs.input_path(job.id, job.id).parent
        return sorted(folder.iterdir()) if folder.exists() else []


@asynccontextmanager
async def background(
    tmp_path: Path, blobs: BlobStore, clock: Clock, **settings: Any
) -> AsyncIterator[Background]:
    wanted = FetchSettings(**{"allow_private": True, **settings})
    store = await Store.open(tmp_path / "imgsvc.db")
    breakers = Breakers(clock)
    fetched: list[str] = []
    arrived = asyncio.Event()

    def note(job: Job) -> None:
        fetched.append(job.id)
        arrived.set()

    fetches = Fetches(
        store,
        blobs,
        Fetcher(wanted, breakers, max_image_bytes=100_000, clock=clock),
        breakers,
        per_host=wanted.per_host,
        concurrency=wanted.concurrency,
        reserve_bytes=0,
        on_fetched=note,
        clock=clock,
    )
    store.subscribe(fetches.follow)
    try:
        yield Background(store, blobs, fetches, clock, fetched, arrived)
    finally:
        await fetches.stop()
        await store.close()
