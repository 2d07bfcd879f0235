"""Requests that carry a key are carried out once, however often they are sent.

The key is committed with what its request did. A repeated request is read to its end,
compared, and answered as the first one was.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.stage import Stage
from imgsvc.config import LimitSettings
from imgsvc.domain.ids import new_id
from imgsvc.domain.image import NewImage
from imgsvc.domain.product_list import ProductList
from imgsvc.domain.times import now_ms
from imgsvc.errors import (
    IdempotencyInProgress,
    IdempotencyMismatch,
    ShuttingDown,
    StorageFull,
    TooManyImages,
)
from imgsvc.intake.fingerprint import Fingerprint
from imgsvc.intake.spec import JobSpec
from imgsvc.service.readiness import Readiness
from imgsvc.store.keys import KnownKey, NewKey
from imgsvc.store.store import Store

KEPT_S = 24 * 3600


def new_key(key: str | None, fingerprint: Fingerprint) -> NewKey | None:
    """What is to be committed with a request; None when it has no key."""
    if key is None:
        return None
    return NewKey(key, fingerprint.hexdigest(), now_ms() + KEPT_S * 1000)


class Recital:
    """Takes a repeated request in, only to compare it."""

    def __init__(self, stage: Stage, limits: LimitSettings) -> None:
        self.stage = stage
        self.limits = limits
        self.fingerprint = Fingerprint()
        self._count = 0

    async def describe(self, spec: JobSpec) -> None:
        self.fingerprint.add_spec(spec)

    def check_room(self) -> None:
        """Raises TooManyImages: then it cannot be what was accepted."""
        most = self.limits.max_images_per_job
        if self._count >= most:
            raise TooManyImages(f"A job takes at most {most} images.")

    def begin_list(self, table: ProductList) -> None:
        """What it holds is compared as the file it came in."""

    async def add_product(self, _cells: Sequence[str], images: Sequence[NewImage]) -> None:
        for image in images:
            await self.add(image)

    async def add(self, image: NewImage) -> None:
        self.check_room()
        self._count += 1
        self.fingerprint.add_image(image)

    def check_same(self, known: KnownKey) -> None:
        """Raises IdempotencyMismatch."""
        if self.fingerprint.hexdigest() != known.fingerprint:
            raise IdempotencyMismatch("This key was used with another payload before.")


class Idempotency:
    def __init__(
        self, store: Store, blobs: BlobStore, readiness: Readiness, limits: LimitSettings
    ) -> None:
        self._store = store
        self._readiness = readiness
        self._blobs = blobs
        self._limits = limits
        self._held: set[str] = set()

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """For as long as a request with this key runs. Raises IdempotencyInProgress."""
        if key in self._held:
            raise IdempotencyInProgress("A request with this key is still running.")
        self._held.add(key)
        try:
            yield
        finally:
            self._held.discard(key)

    async def find(self, key: str) -> KnownKey | None:
        """The key's first request, when it was committed within KEPT_S."""
        return await self._store.key(key, now_ms())

    async def remember(self, key: str, answer: dict[str, Any]) -> None:
        """Keep the answer that the first request is about to get. Where that cannot be done, it
        is answered all the same: it has been carried out, and a repeated one is answered by that.
        """
        with suppress(StorageFull, ShuttingDown):
            await self._store.record_answer(key, answer)

    @asynccontextmanager
    async def recite(self) -> AsyncIterator[Recital]:
        """A place for the repeated bytes, gone with the context. Raises StorageFull."""
        await self._readiness.check_space()
        stage = self._blobs.stage(new_id())
        try:
            yield Recital(stage, self._limits)
        finally:
            await stage.discard()
