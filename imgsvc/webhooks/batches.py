"""Messages of finished images: what has finished within a second goes together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

from imgsvc.domain.image import Image
from imgsvc.domain.times import now_ms
from imgsvc.errors import NotFound
from imgsvc.store.full_disk import FullDisk
from imgsvc.store.store import Store
from imgsvc.webhooks.payloads import Document, images_data

MOST = 100
"""Images in one message."""

GATHER_S = 1.0
"""How long images are waited for that may go into the same message."""


class Batcher:
    """describe: an image as the API's document. on_batch: called when there are new messages."""

    def __init__(
        self, store: Store, describe: Callable[[Image], Document], on_batch: Callable[[], None]
    ) -> None:
        self._store = store
        self._describe = describe
        self._on_batch = on_batch
        self._disk = FullDisk("webhooks of images")
        self._wake = asyncio.Event()
        self._wake.set()

    def wake(self) -> None:
        """There may be finished images to tell of."""
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_S)
            self._wake.clear()
            with self._disk:
                await self.run_once(now_ms())
            if self._disk.is_full:
                self._wake.set()

    async def run_once(self, now: int) -> int:
        """Make messages of everything that has finished; returns how many."""
        made = 0
        for job_id in await self._store.jobs_to_announce_images_of():
            made += await self._announce(job_id, now)
        if made:
            self._on_batch()
        return made

    async def _announce(self, job_id: str, now: int) -> int:
        """The same for one job."""
        made = 0
        while ended := await self._store.unannounced_images(job_id, MOST):
            payload = await self._compose(job_id, [image for image, _ in ended])
            made += payload is not None
            await self._store.announce_images(job_id, ended[-1][1], payload, now)
            if len(ended) < MOST:  # what has ended meanwhile waits for company
                break
        return made

    async def _compose(self, job_id: str, ended: Sequence[Image]) -> str | None:
        """None when there is nothing to tell: an image that was taken up again will end, and
        be told of, again; a job may be gone.
        """
        images = {image.index: image for image in ended if image.state.is_final}
        webhook = await self._store.webhook(job_id)
        if webhook is None or not images:
            return None
        try:
            job = await self._store.job(job_id)
        except NotFound:
            return None
        documents = [self._describe(image) for image in images.values()]
        data = images_data(job, documents, webhook.base_url)
        return await asyncio.to_thread(json.dumps, data, separators=(",", ":"))
