"""Whether the server should be sent work."""

from __future__ import annotations

import asyncio

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.errors import ImgsvcError, QueueFull, ShuttingDown
from imgsvc.store.store import Store

PING_S = 2.0
"""How long the smallest write may take while the server is called ready."""


class Readiness:
    """reserve_bytes: free disk below which nothing new is accepted."""

    def __init__(
        self, store: Store, blobs: BlobStore, *, reserve_bytes: int, max_pending_images: int
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._reserve_bytes = reserve_bytes
        self._max_pending_images = max_pending_images
        self._arriving = 0
        self.draining = False

    async def problems(self) -> list[str]:
        """Why the server is not ready; empty when it is."""
        found = []
        if self.draining:
            found.append("draining")
        if not await self._blobs.has_room(self._reserve_bytes):
            found.append("storage_full")
        try:
            async with asyncio.timeout(PING_S):  # another program may have it locked
                await self._store.ping_writable()
        except (ImgsvcError, TimeoutError):
            found.append("database_not_writable")
        return found

    async def check_accepts(self) -> None:
        """Raises ShuttingDown, QueueFull or StorageFull when nothing new can be taken."""
        self.check_not_draining()
        self._check_queue()
        await self.check_space()

    async def check_space(self) -> None:
        """Raises StorageFull."""
        await self._blobs.check_room(self._reserve_bytes)

    def take_place(self) -> None:
        """Count an image that is on its way in; what was taken is to be given back once its
        row is stored, or it is dropped. Raises QueueFull.
        """
        self._check_queue()
        self._arriving += 1

    def give_places(self, count: int) -> None:
        self._arriving -= count

    def _check_queue(self) -> None:
        if self._store.pending_images + self._arriving >= self._max_pending_images:
            raise QueueFull("Too many images are waiting already.")

    def check_not_draining(self) -> None:
        if self.draining:
            raise ShuttingDown("The server is stopping; send this again in a moment.")
