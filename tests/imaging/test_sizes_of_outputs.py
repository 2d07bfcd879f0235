"""For any recipe and any picture the sizes that come out are those of the documented rules.

The rules are written down here a second time, in fractions, from the documentation alone.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from imgsvc.domain.rendering import Rendered
from imgsvc.recipes.model import Recipe, canonical_json, load_recipe
from imgsvc.recipes.validation import parse_recipe
from tests import pictures
from tests.imaging.conftest import Studio

sides = st.integers(1, 70)
gravities = st.one_of(
    st.sampled_from(["centre", "north", "southeast", "west", "attention", "entropy"]),
    st.fixed_dictionaries({"x": st.floats(0, 1), "y": st.floats(0, 1)}),
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "width": st.integers(1, 90),
        "height": st.integers(1, 90),
        "mode": st.sampled_from(["fit", "fill", "pad", "force"]),
        "enlarge": st.booleans(),
        "gravity": gravities,
        "rotate": st.sampled_from([0, 90, 180, 270]),
        "flip": st.booleans(),
        "flop": st.booleans(),
        "background": st.sampled_from(["#fff", "#12345678", "#abcdef"]),
        "grayscale": st.booleans(),
        "blur": st.floats(0.3, 3),
        "sharpen": st.one_of(st.booleans(), st.floats(0.3, 3)),
        "format": st.sampled_from(["webp", "jpeg", "png", "gif", "tiff", "same"]),
        "quality": st.integers(1, 100),
        "lossless": st.booleans(),
        "effort": st.integers(0, 3),
        "progressive": st.booleans(),
        "max_bytes": st.integers(1024, 4096),
        "metadata": st.sampled_from(["none", "copyright", "all"]),
        "animation": st.sampled_from(["first", "all"]),
        "crop": st.tuples(sides, sides, sides, sides),
    },
)
sources = st.sampled_from(["png", "jpeg", "sprite", "turned", "animation", "grey"])


def make_source(kind: str, width: int, height: int) -> tuple[bytes, tuple[int, int]]:
    """The file, and its size as it is seen."""
    match kind:
        case "jpeg":
            return pictures.make_jpeg(width, height), (width, height)
        case "sprite":
            return pictures.make_sprite_png(width, height), (width, height)
        case "turned":
            return pictures.make_oriented_jpeg(6, width, height), (width, height)
        case "animation":
            return pictures.make_animation("WEBP", 3, width, height), (width, height)
        case "grey":
            return pictures.make_grey_jpeg(90, width, height), (width, height)
        case _:
            return pictures.make_png(width, height), (width, height)


def half_up(value: Fraction) -> int:
    return max(1, int(value + Fraction(1, 2)))


def fit(source: tuple[int, int], box: tuple[int, int], *, enlarge: bool) -> tuple[int, int]:
    """The largest size of the source's ratio inside the box; the side that binds is exact."""
    width, height = source
    by_width, by_height = Fraction(box[0], width), Fraction(box[1], height)
    scale = min(by_width, by_height)
    if scale > 1 and not enlarge:
        return source
    if by_width <= by_height:
        return box[0], half_up(height * scale)
    return half_up(width * scale), box[1]


def expected_size(source: tuple[int, int], variant: dict[str, Any]) -> tuple[int, int]:
    if crop := variant.get("crop"):
        source = crop["width"], crop["height"]
    if variant.get("rotate", 0) in (90, 270):  # the box is of what comes out
        source = source[1], source[0]
    width, height = variant.get("width"), variant.get("height")
    mode, enlarge = variant.get("mode", "fit"), variant.get("enlarge", False)
    if width is None and height is None:
        return source
    if width is None or height is None:
        if not enlarge and ((width or 0) > source[0] or (height or 0) > source[1]):
            return source
        if width is not None:
            return width, half_up(Fraction(source[1] * width, source[0]))
        return half_up(Fraction(source[0] * (height or 1), source[1])), height or 1
    if mode == "fit":
        return fit(source, (width, height), enlarge=enlarge)
    if mode == "fill" and not enlarge and (width > source[0] or height > source[1]):
        return fit((width, height), source, enlarge=False)
    return width, height


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sources, sides, sides, st.lists(fields, min_size=1, max_size=3))
def test_sizes_follow_the_rules_for_any_recipe_and_picture(
    studio: Studio, kind: str, width: int, height: int, wanted: list[dict[str, Any]]
) -> None:
    data, size = make_source(kind, width, height)
    variants = []
    for number, choice in enumerate(wanted):
        variant = {"name": f"v{number}", **choice}
        if "crop" in variant:
            left, top, cut_width, cut_height = variant["crop"]
            left, top = left % size[0], top % size[1]
            variant["crop"] = {
                "left": left,
                "top": top,
                "width": 1 + (cut_width - 1) % (size[0] - left),
                "height": 1 + (cut_height - 1) % (size[1] - top),
            }
        variants.append(variant)
    outcome = studio.run(data, variants)
    assert isinstance(outcome, Rendered), outcome
    for variant, output in zip(variants, outcome.outputs, strict=True):
        found = studio.show(output.variant, output.format)
        assert found.size == (output.width, output.height) == expected_size(size, variant), variant


@given(st.lists(fields, min_size=1, max_size=4))
def test_a_recipe_comes_back_from_json_as_it_was(wanted: list[dict[str, Any]]) -> None:
    variants = [{"name": f"v{n}", **choice} for n, choice in enumerate(wanted)]
    for variant in variants:
        if "crop" in variant:
            names = ("left", "top", "width", "height")
            variant["crop"] = dict(zip(names, variant["crop"], strict=True))
    assume(variants)
    recipe = parse_recipe({"variants": variants})
    text = canonical_json(recipe)
    assert load_recipe(text) == recipe
    assert parse_recipe(json.loads(text)) == recipe
    assert canonical_json(parse_recipe(json.loads(text))) == text
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
