"""The gallery shows all that a recipe can ask for, and every tile is what it says."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from PIL import Image

from benchmarks.gallery import run
from benchmarks.tiles import HEIGHT, WIDTH, plan_tiles
from imgsvc.recipes.model import Format, Mode, Variant, Watermark
from imgsvc.recipes.validation import parse_recipe
from tests import pictures

TILES = plan_tiles(1600, 1200)


def test_every_field_of_a_variant_is_shown() -> None:
    shown = {field for tile in TILES for field in tile.fields}
    assert shown == set(Variant.model_fields) - {"name"}


def test_every_field_of_a_watermark_is_shown() -> None:
    shown = {field for tile in TILES for field in tile.fields.get("watermark", {})}
    assert shown == set(Watermark.model_fields) - {"sha256"}


def test_every_mode_format_and_turn_is_shown() -> None:
    recipes = [parse_recipe({"variants": [{"name": "v", **tile.fields}]}) for tile in TILES]
    variants = [recipe.variants[0] for recipe in recipes]
    assert {variant.mode for variant in variants} == set(get_args(Mode))
    assert {variant.format for variant in variants} == set(get_args(Format))
    assert {variant.rotate for variant in variants} == {0, 90, 180, 270}


def test_the_sheet_is_made_of_a_photo_of_any_size(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(pictures.make_oriented_jpeg(6, 320, 200))
    sheet, small = run(photo, tmp_path / "out")
    with Image.open(sheet) as whole, Image.open(small) as copy:
        assert copy.width == 900
        assert whole.width > 4 * WIDTH
        assert whole.height > 4 * HEIGHT
    assert small.stat().st_size <= 120_000
