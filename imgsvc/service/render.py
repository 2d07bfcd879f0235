"""Render: one file made while somebody waits, of which nothing is kept.

The input is staged as that of a job that will never have a row: what a kill leaves is swept
with the orphans at the next start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.stage import Stage
from imgsvc.dispatch.urgent import Product, UrgentLane
from imgsvc.domain.ids import new_id
from imgsvc.domain.image import NewImage
from imgsvc.errors import Fault, ImageError, InvalidRecipe, InvalidRequest
from imgsvc.intake.render_query import RenderSpec
from imgsvc.recipes.model import Recipe, canonical_json
from imgsvc.service.presets import Presets
from imgsvc.service.readiness import Readiness
from imgsvc.service.watermarks import Watermarks


class Rendering:
    """One image on its way. stage: takes its bytes."""

    def __init__(self, stage: Stage, blobs: BlobStore, lane: UrgentLane, recipe: Recipe) -> None:
        self.stage = stage
        self._blobs = blobs
        self._lane = lane
        self._recipe = recipe

    @asynccontextmanager
    async def make(self, image: NewImage) -> AsyncIterator[Product]:
        """The product, there until the context ends.

        Raises ImageError when the image cannot be made, QueueFull, ShuttingDown.
        """
        if image.failure is not None:
            raise ImageError(image.failure.code, image.failure.message)
        path = self._blobs.input_path(self.stage.job_id, image.id)
        async with self._lane.render(path, canonical_json(self._recipe)) as product:
            yield product


class Renderer:
    def __init__(
        self,
        blobs: BlobStore,
        lane: UrgentLane,
        presets: Presets,
        watermarks: Watermarks,
        readiness: Readiness,
    ) -> None:
        self._blobs = blobs
        self._lane = lane
        self._presets = presets
        self._watermarks = watermarks
        self._readiness = readiness

    @asynccontextmanager
    async def begin(self, spec: RenderSpec) -> AsyncIterator[Rendering]:
        """Ready to take an image; whatever it left is gone when the context ends.

        Raises InvalidRequest, InvalidRecipe, ShuttingDown, QueueFull, StorageFull.
        """
        recipe = await self._choose(spec)
        self._readiness.check_not_draining()
        self._lane.check_room()  # once more when the image is there: it may take its time
        await self._readiness.check_space()
        stage = self._blobs.stage(new_id())
        try:
            yield Rendering(stage, self._blobs, self._lane, recipe)
        finally:
            await stage.discard()

    async def _choose(self, spec: RenderSpec) -> Recipe:
        if spec.preset is None:
            return await self._check_own(spec)
        _, recipe = await self._presets.resolve(spec.preset, None)
        chosen = [v for v in recipe.variants if spec.variant in {None, v.name}]
        if len(chosen) != 1:
            names = ", ".join(variant.name for variant in recipe.variants)
            raise InvalidRequest(
                "One file is made at a time: say which variant of the preset.",
                (Fault("/variant", f"one of {names}"),),
            )
        return await self._watermarks.pin(Recipe(variants=tuple(chosen)), spec.preset)

    async def _check_own(self, spec: RenderSpec) -> Recipe:
        """Raises InvalidRecipe, its pointers naming the fields as the query does."""
        try:
            _, recipe = await self._presets.resolve(None, spec.recipe)
            return await self._watermarks.pin(recipe)
        except InvalidRecipe as exc:
            prefix = "/recipe/variants/0"
            faults = tuple(Fault(f.pointer.removeprefix(prefix), f.detail) for f in exc.faults)
            first = faults[0]
            message = f"The recipe is not valid: {first.pointer}: {first.detail}"
            raise InvalidRecipe(message, faults) from exc
