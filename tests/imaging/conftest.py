from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgsvc.domain.rendering import (
    DecodeLimits,
    Failure,
    Outcome,
    Rendered,
    RenderFailed,
    RenderTask,
    TaskKey,
    output_path,
)
from imgsvc.imaging.render import render
from imgsvc.recipes.model import canonical_json
from imgsvc.recipes.validation import parse_recipe

GENEROUS_BYTES = 4 << 30


@dataclass
class Studio:
    """Renders bytes in a folder of its own and shows what came out."""

    folder: Path
    limits: DecodeLimits = field(default_factory=lambda: DecodeLimits(100_000_000, 256))

    def run(
        self, data: bytes, variants: list[dict[str, Any]], memory_bytes: int = GENEROUS_BYTES
    ) -> Outcome:
        source = self.folder / "in"
        source.write_bytes(data)
        recipe = canonical_json(parse_recipe({"variants": variants}))
        return render(
            RenderTask(
                key=TaskKey("job", 0, 1),
                input_path=str(source),
                output_prefix=str(self.folder / "out"),
                recipe=recipe,
                limits=self.limits,
                memory_bytes=memory_bytes,
            )
        )

    def make(self, data: bytes, **fields: Any) -> tuple[Image.Image, Rendered]:
        """The picture of a recipe of one variant, and the outcome."""
        outcome = self.run(data, [{"name": "v", **fields}])
        assert isinstance(outcome, Rendered), outcome
        return self.show("v", outcome.outputs[0].format), outcome

    def picture(self, data: bytes, **fields: Any) -> Image.Image:
        return self.make(data, **fields)[0]

    def show(self, variant: str, format_: str) -> Image.Image:
        with Image.open(output_path(str(self.folder / "out"), variant, format_)) as picture:
            picture.load()
            return picture

    def fail(self, data: bytes, **fields: Any) -> Failure:
        outcome = self.run(data, [{"name": "v", **fields}])
        assert isinstance(outcome, RenderFailed), outcome
        assert self.outputs() == []
        return outcome.failure

    def outputs(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("out-*"))


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)
