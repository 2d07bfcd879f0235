"""What a run without a server is to make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from imgsvc.recipes.model import Recipe
from imgsvc.service.local_plan import LocalPlan, LocalWatermark

if TYPE_CHECKING:
    from imgsvc.runtime.core import Core
    from imgsvc.service.local_run import LocalRun


class Wish(NamedTuple):
    """out: absolute. preset: where the recipe comes from, None for an own."""

    out: Path
    recipe: Recipe
    preset: str | None
    marks: Mapping[str, LocalWatermark]

    def plan(self) -> LocalPlan:
        return LocalPlan(self.out, self.recipe, self.marks)

    def open_run(self, core: Core) -> LocalRun:
        from imgsvc.service.local_run import LocalRun  # who has nothing to do needs none of this

        return LocalRun(
            core.store,
            core.blobs,
            core.hub,
            core.dispatcher,
            core.watermarks,
            out_dir=self.out,
            recipe=self.recipe,
            preset=self.preset,
            marks=self.marks,
        )
