"""A contact sheet: one photo, and what every operation makes of it, to be looked at.

All of it comes out of the pipeline as images of jobs do, many variants from one decode. What it
wrote is read with Pillow, which is another decoder, and laid out as it is, pixel by pixel.
`small.webp` is the sheet once more, made by the same pipeline.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

import imgsvc
from benchmarks.corpus import find_photos
from benchmarks.photos import make_photos
from benchmarks.tiles import HEIGHT, MARK, WIDTH, Tile, plan_tiles
from imgsvc.domain.rendering import (
    DecodeLimits,
    OutputFacts,
    Rendered,
    RenderTask,
    TaskKey,
    WatermarkFile,
    output_path,
)
from imgsvc.imaging.render import render
from imgsvc.recipes.model import MAX_VARIANTS, canonical_json
from imgsvc.recipes.validation import parse_recipe
from imgsvc.recipes.watermarks import pin_watermarks

COLUMNS = 8
GAP = 10
LABEL_HEIGHT = 54
CELL = (WIDTH + 2 * GAP, HEIGHT + 2 * GAP + LABEL_HEIGHT)
LABEL_PX, FACTS_PX = 19, 16
FEW_PIXELS = (WIDTH // 2, HEIGHT // 2)

PAPER, INK, PALE_INK = "#f4f4f2", "#1d1d1f", "#6b6b70"
CHECKS = ("#ffffff", "#c9c9c9")
CHECK_PX = 8

SMALL = {"width": 900, "format": "webp", "effort": 9, "max_bytes": 120_000}
MEMORY_BYTES = 8 << 30
_FONT = Path(imgsvc.__file__).parent / "imaging" / "fonts" / "DejaVuSans-Bold.ttf"


class NotRendered(Exception):
    """The pipeline refused the photo or a recipe."""


@dataclass(frozen=True, slots=True)
class Made:
    """warnings: the codes of what was done otherwise than asked."""

    tile: Tile
    path: Path
    facts: OutputFacts
    warnings: tuple[str, ...]


def run(photo: Path, folder: Path) -> tuple[Path, Path]:
    """Make everything in `folder`, which is emptied before; the sheet and its small copy."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "inputs").mkdir(parents=True)
    with Image.open(photo) as opened:
        upright = ImageOps.exif_transpose(opened)
    opaque = Image.new("RGBA", upright.size, "white")
    opaque.alpha_composite(upright.convert("RGBA"))
    inputs = {"photo": photo, **_make_inputs(opaque.convert("RGB"), folder / "inputs")}
    mark = _make_mark(folder / "inputs" / f"{MARK}.png")
    made = list(_make_tiles(plan_tiles(*upright.size), inputs, mark, folder))
    sheet = folder / "sheet.png"
    _lay_out(made).save(sheet)
    (small,) = _render(sheet, [SMALL], mark, folder / "small")
    return sheet, small.path.rename(folder / "small.webp")


def _make_inputs(photo: Image.Image, folder: Path) -> dict[str, Path]:
    """The photo in guises that some operations need, by name."""
    photo = ImageOps.contain(photo, (960, 960))
    paths = {
        "framed": folder / "framed.jpg",
        "clear": folder / "clear.png",
        "turned": folder / "turned.jpg",
        "moving": folder / "moving.gif",
        "few": folder / "few.png",
    }
    ImageOps.contain(photo, FEW_PIXELS).save(paths["few"])
    ImageOps.expand(photo, (180, 90), "#e9e4d8").save(paths["framed"], quality=92)
    clear = Image.new("RGBA", (photo.width + 360, photo.height + 180))
    clear.paste(photo, (180, 90))
    clear.save(paths["clear"])
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.transpose(Image.Transpose.ROTATE_90).save(paths["turned"], quality=92, exif=exif)
    first, *others = [_zoom(photo, step / 20) for step in range(8)]
    first.save(paths["moving"], save_all=True, append_images=others, duration=120, loop=0)
    return paths


def _zoom(photo: Image.Image, share: float) -> Image.Image:
    left, top = int(photo.width * share), int(photo.height * share)
    part = photo.crop((left, top, photo.width - left, photo.height - top))
    return ImageOps.fit(part, (photo.width // 2, photo.height // 2))


def _make_mark(path: Path) -> WatermarkFile:
    """A badge: round, coloured, and transparent around it."""
    mark = Image.new("RGBA", (400, 400))
    draw = ImageDraw.Draw(mark)
    draw.ellipse((4, 4, 396, 396), "#e4572e", "#ffffff", 24)
    draw.text((200, 200), "Nord", "#ffffff", ImageFont.truetype(_FONT, 110), anchor="mm")
    mark.save(path)
    return WatermarkFile(hashlib.sha256(path.read_bytes()).hexdigest(), str(path))


def _make_tiles(
    tiles: Sequence[Tile], inputs: dict[str, Path], mark: WatermarkFile, folder: Path
) -> Iterator[Made]:
    """In the order of `tiles`; as many at once as a recipe may hold."""
    number = 0
    for source, group in groupby(tiles, lambda tile: tile.source):
        wanted = list(group)
        for start in range(0, len(wanted), MAX_VARIANTS):
            some = wanted[start : start + MAX_VARIANTS]
            prefix = folder / f"{number:02d}-{source}"
            found = _render(inputs[source], [tile.fields for tile in some], mark, prefix)
            for tile, one in zip(some, found, strict=True):
                yield Made(tile, one.path, one.facts, one.warnings)
            number += 1


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    facts: OutputFacts
    warnings: tuple[str, ...]


def _render(
    source: Path, variants: Sequence[dict[str, Any]], mark: WatermarkFile, prefix: Path
) -> list[_File]:
    """One task. Raises NotRendered, with what it came to."""
    named = [{"name": f"v{number}", **fields} for number, fields in enumerate(variants)]
    recipe = pin_watermarks(parse_recipe({"variants": named}), {MARK: mark.sha256})
    outcome = render(
        RenderTask(
            key=TaskKey("gallery", 0, 1),
            input_path=str(source),
            output_prefix=str(prefix),
            recipe=canonical_json(recipe),
            limits=DecodeLimits(max_pixels=10**9, max_frames=256),
            memory_bytes=MEMORY_BYTES,
            watermarks=(mark,),
        )
    )
    if not isinstance(outcome, Rendered):
        raise NotRendered(outcome)
    return [
        _File(
            Path(output_path(str(prefix), facts.variant, facts.format)),
            facts,
            tuple(w.code for w in outcome.warnings if facts.variant in w.variants),
        )
        for facts in outcome.outputs
    ]


def _lay_out(made: Sequence[Made]) -> Image.Image:
    rows = -(-len(made) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * CELL[0], rows * CELL[1]), PAPER)
    for number, one in enumerate(made):
        row, column = divmod(number, COLUMNS)
        _draw_cell(sheet, (column * CELL[0], row * CELL[1]), one)
    return sheet


def _draw_cell(sheet: Image.Image, at: tuple[int, int], one: Made) -> None:
    """The picture in the middle of its place, and what it is below."""
    picture = _read(one.path)
    left = at[0] + (CELL[0] - picture.width) // 2
    top = at[1] + GAP + (HEIGHT - picture.height) // 2
    sheet.paste(_checks(picture.width, picture.height), (left, top))
    sheet.paste(picture, (left, top), picture)
    draw, middle = ImageDraw.Draw(sheet), at[0] + CELL[0] // 2
    below = at[1] + GAP + HEIGHT + 4
    _write(draw, (middle, below), one.tile.label, LABEL_PX, INK)
    facts = one.facts
    told = f"{facts.width}x{facts.height} {facts.format} {facts.size_bytes / 1000:.1f} kB"
    warned = ", ".join(one.warnings)
    _write(draw, (middle, below + LABEL_PX + 3), told, FACTS_PX, PALE_INK)
    _write(draw, (middle, below + LABEL_PX + FACTS_PX + 4), warned, FACTS_PX, "#b3261e")


def _read(path: Path) -> Image.Image:
    """Of an animation the last frame: the first is that of any still."""
    with Image.open(path) as picture:
        picture.seek(getattr(picture, "n_frames", 1) - 1)
        return picture.convert("RGBA")


def _checks(width: int, height: int) -> Image.Image:
    """What shows where a picture is transparent."""
    checks = Image.new("RGB", (width, height), CHECKS[0])
    draw = ImageDraw.Draw(checks)
    for top in range(0, height, CHECK_PX):
        for left in range(top // CHECK_PX % 2 * CHECK_PX, width, 2 * CHECK_PX):
            draw.rectangle((left, top, left + CHECK_PX - 1, top + CHECK_PX - 1), CHECKS[1])
    return checks


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size_px: int, colour: str
) -> None:
    """Centred, and smaller where it would not fit its cell."""
    font = ImageFont.truetype(_FONT, size_px)
    while size_px > 1 and font.getlength(text) > CELL[0] - GAP:
        size_px -= 1
        font = ImageFont.truetype(_FONT, size_px)
    draw.text(at, text, colour, font, anchor="ma")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="make gallery", description="Show on one sheet what every operation makes of a photo."
    )
    parser.add_argument("--corpus", type=Path, help="a photo, or a folder of them (generated)")
    parser.add_argument("--out", type=Path, default=Path("build/gallery"), help="(build/gallery)")
    given = parser.parse_args(arguments)
    if given.corpus is None:
        photo = make_photos(Path("build/photos"), 1)[0]
    else:
        photo = given.corpus if given.corpus.is_file() else find_photos(given.corpus)[0]
    sheet, small = run(photo.resolve(), given.out)
    print(f"Look at {sheet}; {small} is the same for a page.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
