"""Where marks lie, and the pinning of what their names mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsvc.errors import InvalidRecipe
from imgsvc.recipes.identity import recipe_digest
from imgsvc.recipes.model import Point, Recipe, Watermark, canonical_json, load_recipe
from imgsvc.recipes.sizes import Size
from imgsvc.recipes.validation import parse_recipe
from imgsvc.recipes.watermarks import (
    find_spot,
    named_watermarks,
    pin_watermarks,
    pinned_watermarks,
    unpin_watermarks,
)

SIDES = st.integers(1, 20_000)
SIZES = st.builds(Size, SIDES, SIDES)
GRAVITIES = st.sampled_from(["north", "southeast", "centre", "west"]) | st.builds(
    Point, x=st.floats(0, 1), y=st.floats(0, 1)
)
MARKS = st.builds(
    Watermark,
    text=st.just("x"),
    preset_image=st.none(),
    gravity=GRAVITIES,
    scale=st.floats(0, 1),
    opacity=st.just(1.0),
    margin=st.integers(0, 16384),
    sha256=st.none(),
)


def recipe(*marks: dict[str, Any] | None) -> Recipe:
    return parse_recipe(
        {"variants": [{"name": f"v{n}", "watermark": mark} for n, mark in enumerate(marks)]}
    )


def faults(mark: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidRecipe) as caught:
        recipe(mark)
    return [fault.pointer for fault in caught.value.faults]


@given(SIZES, SIZES, MARKS)
def test_a_mark_lies_within_the_picture_and_its_margins(
    canvas: Size, natural: Size, mark: Watermark
) -> None:
    size, at = find_spot(canvas, natural, mark)
    margin = min(mark.margin, min(canvas) // 4)
    assert min(size) >= 1
    assert margin <= at.left <= canvas.width - margin - size.width
    assert margin <= at.top <= canvas.height - margin - size.height
    assert size.width <= max(1, canvas.width * mark.scale + 1)


@pytest.mark.parametrize("gravity", ["attention", "entropy"])
def test_a_mark_is_not_placed_by_what_is_in_the_picture(gravity: str) -> None:
    assert faults({"text": "x", "gravity": gravity}) == ["/variants/0/watermark/gravity"]


@pytest.mark.parametrize("text", ["", " ", "\n", " \u00a0\u2003\n", "\u200b\u200d", "x" * 501])
def test_text_has_something_to_be_seen_and_an_end(text: str) -> None:
    assert faults({"text": text}) == ["/variants/0/watermark/text"]


@pytest.mark.parametrize("text", ["a\x00", "a\tb", "\x1b[0m", "a\x7f", "a\x85", "a\rb", "\ud800x"])
def test_text_has_no_control_characters(text: str) -> None:
    assert faults({"text": text}) == ["/variants/0/watermark/text"]


def test_a_forms_line_break_is_a_line_break() -> None:
    mark = recipe({"text": "a\r\nb"}).variants[0].watermark
    assert mark is not None
    assert mark.text == "a\nb"


@pytest.mark.parametrize("value", ["ab" * 32, None, 5])
def test_the_content_cannot_be_named_from_outside(value: Any) -> None:
    assert faults({"preset_image": "logo", "sha256": value}) == ["/variants/0/watermark/sha256"]


def test_pinning_names_the_content_and_unpinning_forgets_it() -> None:
    plain = recipe({"preset_image": "a"}, {"text": "t"}, None, {"preset_image": "b"})
    assert named_watermarks(plain) == {0: "a", 3: "b"}
    pinned = canonical_json(pin_watermarks(plain, {"a": "1" * 64, "b": "2" * 64}))
    assert pinned_watermarks(pinned) == ("1" * 64, "2" * 64)
    assert load_recipe(pinned) == pin_watermarks(plain, {"a": "1" * 64, "b": "2" * 64})
    assert unpin_watermarks(pinned) == canonical_json(plain)
    assert pinned_watermarks(canonical_json(plain)) == ()


def test_a_text_that_looks_like_a_pin_is_none() -> None:
    plain = canonical_json(recipe({"text": '"sha256":'}))
    assert pinned_watermarks(plain) == ()
    assert unpin_watermarks(plain) == plain


def test_a_recipe_is_the_same_as_long_as_its_content_is() -> None:
    def digest(name: str, sha256: str) -> str:
        plain = recipe({"preset_image": name, "opacity": 0.3})
        return recipe_digest(canonical_json(pin_watermarks(plain, {name: sha256})))

    assert digest("a", "1" * 64) == digest("b", "1" * 64)
    assert digest("a", "1" * 64) != digest("a", "2" * 64)
