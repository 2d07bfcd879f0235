"""Watermarks: pictures that are kept by name, and laid over others.

A name means a content, and a job holds on to the content that it was submitted with. What is
sent is decoded by a worker and kept as the PNG that the worker made of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.stage import Stage
from imgsvc.dispatch.urgent import UrgentLane
from imgsvc.domain.ids import new_id
from imgsvc.domain.image import NewImage
from imgsvc.domain.times import now_ms
from imgsvc.domain.watermark import KeptWatermark
from imgsvc.errors import Fault, ImageError, InvalidRecipe, InvalidRequest, NotFound
from imgsvc.recipes.model import Recipe, Variant, canonical_json
from imgsvc.recipes.names import NAMES_ARE, is_name
from imgsvc.recipes.watermarks import named_watermarks, pin_watermarks
from imgsvc.service.readiness import Readiness
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

MAX_WATERMARKS = 1000
MAX_BYTES = 16 << 20
"""Of a picture as it is sent."""

MAX_SIDE = 2048
"""Of one that is kept; a larger one is made smaller."""

KEPT_PINNED_MS = 24 * 3600 * 1000
"""Longer than any upload takes."""

_KEPT = canonical_json(
    Recipe(
        variants=(
            Variant(name="kept", width=MAX_SIDE, height=MAX_SIDE, format="png", animation="first"),
        )
    )
)


class Watermarks:
    def __init__(
        self, store: Store, blobs: BlobStore, lane: UrgentLane, readiness: Readiness
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._lane = lane
        self._readiness = readiness
        # A file must not be removed as unused while it comes again under another name.
        self._filing = asyncio.Lock()
        self._pinned: dict[str, int] = {}

    async def all(self) -> list[KeptWatermark]:
        """By name."""
        return await self._store.watermarks()

    async def get(self, name: str) -> KeptWatermark:
        """Raises NotFound."""
        watermark = await self._store.watermark(name) if is_name(name) else None
        if watermark is None:
            raise _not_found()
        return watermark

    def path(self, watermark: KeptWatermark) -> Path:
        return self._blobs.watermark_path(watermark.sha256)

    @asynccontextmanager
    async def begin(self, name: str) -> AsyncIterator[Stage]:
        """A stage for the picture that is to be called `name`, gone with the context.

        Raises InvalidRequest for what is no name, ShuttingDown, QueueFull, StorageFull.
        """
        if not is_name(name):
            raise InvalidRequest("A watermark cannot be called so.", (Fault("/name", NAMES_ARE),))
        self._readiness.check_not_draining()
        self._lane.check_room()
        await self._readiness.check_space()
        stage = self._blobs.stage(new_id())
        try:
            yield stage
        finally:
            await stage.discard()

    async def save_received(
        self, name: str, stage: Stage, image: NewImage
    ) -> tuple[KeptWatermark, bool]:
        """As `save`, for a picture that was received into `stage`."""
        if image.failure is not None:
            raise ImageError(image.failure.code, image.failure.message)
        return await self.save(name, self._blobs.input_path(stage.job_id, image.id))

    async def save(self, name: str, picture: Path) -> tuple[KeptWatermark, bool]:
        """Let the name mean this picture, whatever it meant before; whether it is new.

        Raises ImageError for a picture that cannot be read, InvalidRequest for one name too
        many, QueueFull, ShuttingDown, StorageFull.
        """
        async with self._lane.render(picture, _KEPT) as product, self._filing:
            (made,) = product.rendered.outputs
            watermark = KeptWatermark(
                name, made.sha256, made.width, made.height, made.size_bytes, now_ms()
            )
            await self._blobs.keep_watermark(product.path(made), made.sha256)
            is_new = await self._store.save_watermark(watermark, most=MAX_WATERMARKS)
        log.info("watermark_saved", name=name, sha256=made.sha256, is_new=is_new)
        return watermark, is_new

    async def delete(self, name: str) -> None:
        """Jobs keep the picture they were submitted with. Raises NotFound."""
        if not is_name(name) or not await self._store.delete_watermark(name):
            raise _not_found()
        log.info("watermark_deleted", name=name)

    async def pin(self, recipe: Recipe, preset: str | None = None) -> Recipe:
        """The recipe with what its watermarks mean now.

        preset: whose recipe it is, None for one that stands in the request itself. Raises
        InvalidRecipe for names that mean nothing.
        """
        names = named_watermarks(recipe)
        if not names:
            return recipe
        digests = await self._store.watermark_digests(set(names.values()))
        unknown = {number: name for number, name in names.items() if name not in digests}
        if unknown:
            raise unknown_watermarks(unknown, preset)
        self._pinned |= dict.fromkeys(digests.values(), now_ms())
        return pin_watermarks(recipe, digests)

    async def remove_unused(self, now: int, *, kept_pinned_ms: int = KEPT_PINNED_MS) -> int:
        """Remove the files that no name and no job means any more; returns how many.

        What was pinned lately is kept: the request that did it may not have come to an end.
        """
        self._pinned = {s: at for s, at in self._pinned.items() if now - at < kept_pinned_ms}
        async with self._filing:
            forgotten = await self._store.forget_watermark_files(self._pinned)
            if forgotten:
                await self._blobs.remove_watermarks(forgotten)
        return len(forgotten)


def unknown_watermarks(unknown: dict[int, str], preset: str | None) -> InvalidRecipe:
    names = ", ".join(sorted(set(unknown.values())))
    if preset is not None:
        detail = f"its recipe names watermarks that are not kept here: {names}"
        message = f"The preset {preset} cannot be used: {detail}."
        return InvalidRecipe(message, (Fault("/preset", detail),))
    faults = tuple(
        Fault(
            f"/recipe/variants/{number}/watermark/preset_image",
            f"there is no watermark called {name}",
        )
        for number, name in unknown.items()
    )
    return InvalidRecipe(f"There is no watermark of that name: {names}.", faults)


def _not_found() -> NotFound:
    return NotFound("There is no watermark of that name.")
