from __future__ import annotations

import hashlib
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
    WatermarkFile,
    output_path,
)
from imgsvc.imaging.render import render
from imgsvc.recipes.model import canonical_json
from imgsvc.recipes.validation import parse_recipe
from imgsvc.recipes.watermarks import pin_watermarks

GENEROUS_BYTES = 4 << 30


@dataclass
class Studio:
    """Renders bytes in a folder of its own and shows what came out."""

    folder: Path
    limits: DecodeLimits = field(default_factory=lambda: DecodeLimits(100_000_000, 256))
    marks: dict[str, bytes] = field(default_factory=dict)
    """Watermarks by name, as PNG."""

    def run(
        self, data: bytes, variants: list[dict[str, Any]], memory_bytes: int = GENEROUS_BYTES
    ) -> Outcome:
        source = self.folder / "in"
        source.write_bytes(data)
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in self.marks.items()}
        recipe = pin_watermarks(parse_recipe({"variants": variants}), digests)
        return render(
            RenderTask(
                key=TaskKey("job", 0, 1),
                input_path=str(source),
                output_prefix=str(self.folder / "out"),
                recipe=canonical_json(recipe),
                limits=self.limits,
                memory_bytes=memory_bytes,
                watermarks=tuple(self._lay_out(name, digests[name]) for name in self.marks),
            )
        )

    def _lay_out(self, name: str, sha256: str) -> WatermarkFile:
        path = self.folder / f"mark-{name}"
        path.write_bytes(self.marks[name])
        return WatermarkFile(sha256, str(path))

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
