"""What is said of a picture: its dominant colour, its alpha, and a placeholder for it."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imgsvc.domain.rendering import AnalysisFacts, DecodeLimits, Rendered, RenderTask, TaskKey
from imgsvc.imaging.analysis import analyse
from imgsvc.imaging.render import render
from imgsvc.recipes.model import canonical_json
from imgsvc.recipes.sizes import Size
from imgsvc.recipes.validation import parse_recipe
from tests import pictures

SMALL = {"name": "small", "width": 32, "height": 32, "format": "png"}
GENEROUS_BYTES = 4 << 30
LIMITS = DecodeLimits(100_000_000, 256)


def look(folder: Path, data: bytes, *, asked: bool = True, **fields: Any) -> Rendered:
    source = folder / "in"
    source.write_bytes(data)
    recipe = canonical_json(parse_recipe({"variants": [{**SMALL, **fields}]}))
    prefix = str(folder / "out")
    key = TaskKey("job", 0, 1)
    outcome = render(
        RenderTask(key, str(source), prefix, recipe, LIMITS, GENEROUS_BYTES, analyse=asked)
    )
    assert isinstance(outcome, Rendered), outcome
    return outcome


def see(folder: Path, data: bytes, **fields: Any) -> AnalysisFacts:
    analysis = look(folder, data, **fields).analysis
    assert analysis is not None
    return analysis


def in_memory(picture: Image.Image) -> pyvips.Image:
    bands = len(picture.getbands())
    image = pyvips.Image.new_from_memory(
        picture.tobytes(), picture.width, picture.height, bands, "uchar"
    )
    return image.copy(interpretation="b-w" if bands <= 2 else "srgb").copy_memory()


def analyse_picture(picture: Image.Image) -> AnalysisFacts:
    return analyse(in_memory(picture), Size(*picture.size))


def light_of(facts: AnalysisFacts) -> int:
    """Mean lightness in 0..63."""
    return b64decode(facts.thumbhash)[0] & 63


def ratio_of(facts: AnalysisFacts) -> tuple[int, bool]:
    """Waves along the shorter side, of seven along the other; and whether it is wide."""
    thumbhash = b64decode(facts.thumbhash)
    return thumbhash[3] & 7, bool(thumbhash[4] >> 7)


def test_nothing_is_said_that_was_not_asked_for(tmp_path: Path) -> None:
    assert look(tmp_path, pictures.make_jpeg(), asked=False).analysis is None


@pytest.mark.parametrize(
    ("colour", "named", "has_alpha"),
    [
        ((200, 30, 7), "#c81e07", False),
        ((90,), "#5a5a5a", False),
        ((200, 30, 7, 255), "#c81e07", False),
        ((200, 30, 7, 128), "#c81e07", True),
        ((90, 128), "#5a5a5a", True),
        ((200, 30, 7, 0), "#000000", True),
    ],
)
def test_a_plain_picture_is_of_its_colour(
    tmp_path: Path, colour: tuple[int, ...], named: str, has_alpha: bool
) -> None:
    facts = see(tmp_path, pictures.make_plain_png(colour, 24, 16))
    assert (facts.dominant_colour, facts.has_alpha) == (named, has_alpha)


def test_the_colour_that_there_is_most_of_dominates_and_not_the_mean() -> None:
    picture = Image.new("RGB", (400, 300), (250, 250, 250))
    picture.paste((10, 60, 200), (0, 0, 400, 160))
    assert analyse_picture(picture).dominant_colour == "#0a3cc8"


def test_what_cannot_be_seen_does_not_count(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (400, 300), (0, 255, 0, 0))
    picture.paste((255, 0, 0, 255), (0, 0, 110, 90))
    facts = see(tmp_path, pictures.encode(picture, "PNG"))
    assert (facts.dominant_colour, facts.has_alpha) == ("#ff0000", True)
    black_below = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    black_below.paste((255, 0, 0, 255), (0, 0, 110, 90))
    assert see(tmp_path, pictures.encode(black_below, "PNG")) == facts


@pytest.mark.parametrize("side", [300, 800])
def test_of_a_finely_chequered_alpha_both_halves_are_seen(side: int) -> None:
    tile = Image.new("RGBA", (2, 2), (255, 0, 0, 255))
    tile.putpixel((0, 0), (0, 0, 0, 0))
    tile.putpixel((1, 1), (0, 0, 0, 0))
    chequered = in_memory(tile).replicate(side // 2, side // 2).copy_memory()
    facts = analyse(chequered, Size(side, side))
    assert facts.dominant_colour == "#ff0000"
    assert b64decode(facts.thumbhash)[5] & 15 == pytest.approx(7.5, abs=1)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_pictures_are_seen_upright(tmp_path: Path, orientation: int) -> None:
    turned = see(tmp_path, pictures.make_oriented_jpeg(orientation, 200, 90))
    upright = see(tmp_path, pictures.make_jpeg(200, 90))
    assert turned.dominant_colour == upright.dominant_colour
    assert light_of(turned) == light_of(upright)
    assert ratio_of(turned) == ratio_of(upright) == (3, True)


def test_the_ratio_is_the_sources_whatever_the_recipe_makes_of_it(tmp_path: Path) -> None:
    source = pictures.make_jpeg(600, 300)
    plain = see(tmp_path, source)
    stretched = see(tmp_path, source, width=40, height=300, mode="force")
    assert ratio_of(stretched) == ratio_of(plain) == (4, True)
    assert light_of(stretched) == light_of(plain)


@pytest.mark.parametrize("format_", ["GIF", "WEBP"])
def test_of_an_animation_the_first_frame_is_seen(tmp_path: Path, format_: str) -> None:
    facts = see(tmp_path, pictures.make_animation(format_, frames=5))
    assert facts.dominant_colour == "#000000"


@given(
    width=st.integers(1, 70) | st.integers(1, 1500),
    height=st.integers(1, 70),
    mode=st.sampled_from(["L", "LA", "RGB", "RGBA"]),
)
def test_every_size_and_kind_has_an_analysis(width: int, height: int, mode: str) -> None:
    picture = Image.new(mode, (width, height), 77 if mode == "L" else (77,) * len(mode))
    facts = analyse_picture(picture)
    assert facts.dominant_colour == "#4d4d4d"
    assert facts.has_alpha == mode.endswith("A")
    assert light_of(facts) == round(63 * 77 / 255)
    assert 14 <= len(b64decode(facts.thumbhash)) <= 26


def fields_of(facts: AnalysisFacts) -> list[int]:
    """Means, scales and levels, which differ by one where they are rounded apart."""
    bits = int.from_bytes(b64decode(facts.thumbhash), "little")
    widths = (6, 6, 6, 5, 1, 3, 6, 6, 1, *(4,) * 37)
    fields = []
    for width in widths:
        fields.append(bits & ((1 << width) - 1))
        bits >>= width
    return fields


def test_a_rough_miniature_comes_to_what_a_careful_one_does() -> None:
    """Whole pixels are averaged, and what is over at the edges is left out."""
    glow, slope = Image.radial_gradient("L"), Image.linear_gradient("L")
    bands = [glow.crop((0, 20, 180, 140)), slope.rotate(30), glow.crop((90, 0, 250, 99))]
    picture = Image.merge("RGB", [band.resize((809, 607)) for band in bands])
    careful = picture.resize((100, 75), Image.Resampling.BOX)
    rough, fine = (analyse_picture(p) for p in (picture, careful))
    differences = [a - b for a, b in zip(fields_of(rough), fields_of(fine), strict=True)]
    assert max(map(abs, differences)) <= 1
