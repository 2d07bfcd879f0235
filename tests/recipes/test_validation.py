from __future__ import annotations

from typing import Any

import pytest

from imgsvc.errors import InvalidRecipe
from imgsvc.recipes.model import Recipe, Variant, canonical_json, load_recipe
from imgsvc.recipes.presets import BUILT_IN
from imgsvc.recipes.validation import parse_recipe


def with_fields(**fields: Any) -> dict[str, Any]:
    return {"variants": [{"name": "v", **fields}]}


def pointers(data: object) -> list[str]:
    with pytest.raises(InvalidRecipe) as caught:
        parse_recipe(data)
    return [fault.pointer for fault in caught.value.faults]


VALID = [
    {"width": 1},
    {"width": 16384, "height": 16384},
    {"mode": "fill"},
    {"mode": "pad", "width": 5},
    {"mode": "force", "width": 5, "height": 5},
    {"width": None, "quality": None},
    {"gravity": "north"},
    {"gravity": "southeast"},
    {"gravity": "attention"},
    {"gravity": {"x": 0, "y": 1.0}},
    {"crop": {"left": 0, "top": 0, "width": 1, "height": 1}},
    {"trim": True},
    {"trim": 0},
    {"trim": 255},
    {"rotate": 270},
    {"flip": True, "flop": False},
    {"background": "#abc"},
    {"background": "#ABCD"},
    {"background": "#aabbcc"},
    {"background": "#aabbccdd"},
    {"blur": 0.3},
    {"blur": 100},
    {"sharpen": True},
    {"sharpen": 1.5},
    {"watermark": {"text": "mine"}},
    {"watermark": {"preset_image": "logo", "opacity": 0, "scale": 1, "margin": 0}},
    {"watermark": {"text": "mine", "gravity": {"x": 0.5, "y": 0.5}}},
    {"format": "avif"},
    {"quality": 1},
    {"lossless": True, "effort": 9},
    {"progressive": True},
    {"max_bytes": 1024},
    {"metadata": "copyright"},
    {"animation": "first"},
]

WRONG = [
    ({"width": 0}, "/width"),
    ({"width": 16385}, "/width"),
    ({"width": True}, "/width"),
    ({"width": "800"}, "/width"),
    ({"width": 800.0}, "/width"),
    ({"height": -1}, "/height"),
    ({"mode": "stretch"}, "/mode"),
    ({"mode": None}, "/mode"),
    ({"enlarge": 1}, "/enlarge"),
    ({"enlarge": "true"}, "/enlarge"),
    ({"gravity": "middle"}, "/gravity"),
    ({"gravity": 5}, "/gravity"),
    ({"gravity": {"x": 1.1, "y": 0}}, "/gravity/x"),
    ({"gravity": {"x": 0}}, "/gravity/y"),
    ({"gravity": {"x": 0, "y": True}}, "/gravity/y"),
    ({"gravity": {"x": 0, "y": 0, "z": 0}}, "/gravity/z"),
    ({"crop": {"left": 0, "top": 0, "width": 0, "height": 1}}, "/crop/width"),
    ({"crop": {"left": -1, "top": 0, "width": 1, "height": 1}}, "/crop/left"),
    ({"crop": {"left": 0, "top": 0, "width": 1}}, "/crop/height"),
    ({"crop": [0, 0, 1, 1]}, "/crop"),
    ({"trim": 256}, "/trim"),
    ({"trim": -1}, "/trim"),
    ({"trim": 1.5}, "/trim"),
    ({"rotate": 45}, "/rotate"),
    ({"rotate": False}, "/rotate"),
    ({"rotate": 90.0}, "/rotate"),
    ({"flip": 0}, "/flip"),
    ({"background": "white"}, "/background"),
    ({"background": "#12345"}, "/background"),
    ({"background": "#fff\n"}, "/background"),
    ({"grayscale": "yes"}, "/grayscale"),
    ({"blur": 0.2}, "/blur"),
    ({"blur": True}, "/blur"),
    ({"blur": float("nan")}, "/blur"),
    ({"sharpen": 101}, "/sharpen"),
    ({"watermark": {}}, "/watermark"),
    ({"watermark": {"text": "a", "preset_image": "b"}}, "/watermark"),
    ({"watermark": {"text": ""}}, "/watermark/text"),
    ({"watermark": {"text": "a", "opacity": 2}}, "/watermark/opacity"),
    ({"watermark": {"text": "a", "margin": -1}}, "/watermark/margin"),
    ({"watermark": {"text": "a", "colour": "red"}}, "/watermark/colour"),
    ({"format": "jpg"}, "/format"),
    ({"format": "svg"}, "/format"),
    ({"quality": 0}, "/quality"),
    ({"quality": 101}, "/quality"),
    ({"effort": 10}, "/effort"),
    ({"max_bytes": 1023}, "/max_bytes"),
    ({"max_bytes": 1 << 53}, "/max_bytes"),
    ({"watermark": {"text": "a\ud800"}}, "/watermark/text"),
    ({"metadata": "some"}, "/metadata"),
    ({"animation": "last"}, "/animation"),
    ({"colour": "red"}, "/colour"),
    ({"a/b~c": 1}, "/a~1b~0c"),
    ({"name": "Upper"}, "/name"),
    ({"name": "a" * 41}, "/name"),
    ({"name": "-a"}, "/name"),
    ({"name": "a\n"}, "/name"),
    ({"name": 1}, "/name"),
]


@pytest.mark.parametrize("fields", VALID, ids=str)
def test_what_the_contract_allows_is_accepted(fields: dict[str, Any]) -> None:
    recipe = parse_recipe(with_fields(**fields))
    assert load_recipe(canonical_json(recipe)) == recipe


@pytest.mark.parametrize(("fields", "pointer"), WRONG, ids=str)
def test_a_wrong_field_is_refused_by_its_pointer(fields: dict[str, Any], pointer: str) -> None:
    assert pointers(with_fields(**fields)) == [f"/variants/0{pointer}"]


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        (None, ""),
        ([], ""),
        ("standard", ""),
        ({}, "/variants"),
        ({"variants": []}, "/variants"),
        ({"variants": {"name": "v"}}, "/variants"),
        ({"variants": "v"}, "/variants"),
        ({"variants": [3]}, "/variants/0"),
        ({"variants": [{"name": "a"}, {}]}, "/variants/1/name"),
        ({"variants": [{"name": "a"}], "name": "b"}, "/name"),
        ({"variants": [{"name": f"v{n}"} for n in range(33)]}, "/variants"),
        ({"variants": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}, "/variants/2/name"),
    ],
    ids=str,
)
def test_a_recipe_of_the_wrong_shape_is_refused(data: object, pointer: str) -> None:
    assert pointers(data) == [pointer]


def test_every_wrong_place_is_named_at_once() -> None:
    data = {"variants": [{"name": "a", "width": 0}, {"name": "b", "quality": 0, "x": 1}]}
    assert pointers(data) == ["/variants/0/width", "/variants/1/quality", "/variants/1/x"]


def test_thirty_two_variants_are_the_most() -> None:
    assert len(parse_recipe({"variants": [{"name": f"v{n}"} for n in range(32)]}).variants) == 32


def test_defaults_are_left_out_of_the_canonical_text() -> None:
    spelled_out = with_fields(mode="fit", enlarge=False, background="#ffffff", width=5)
    assert canonical_json(parse_recipe(spelled_out)) == '{"variants":[{"name":"v","width":5}]}'


def test_a_threshold_of_zero_is_not_the_same_as_no_trimming() -> None:
    assert '"trim":0' in canonical_json(parse_recipe(with_fields(trim=0)))
    assert "trim" not in canonical_json(parse_recipe(with_fields(trim=False)))


@pytest.mark.parametrize("side", ["width", "height"])
@pytest.mark.parametrize("mode", ["fit", "fill", "pad", "force"])
def test_a_side_that_the_format_cannot_hold_is_refused_whatever_the_picture(
    side: str, mode: str
) -> None:
    fields = {side: 16384, "mode": mode}
    assert pointers(with_fields(**fields, format="webp")) == [f"/variants/0/{side}"]
    assert parse_recipe(with_fields(**fields, format="jpeg"))
    assert parse_recipe(with_fields(**fields))


def test_hyphened_compass_points_are_the_same_as_plain_ones() -> None:
    assert parse_recipe(with_fields(gravity="north-east")) == parse_recipe(
        with_fields(gravity="northeast")
    )


def test_fields_given_with_their_defaults_change_nothing() -> None:
    defaults = Variant(name="v").model_dump(mode="json")
    assert parse_recipe({"variants": [defaults]}) == parse_recipe(with_fields())


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_preset_survives_its_own_text(name: str) -> None:
    assert parse_recipe(BUILT_IN[name].model_dump(mode="json")) == BUILT_IN[name]
    assert load_recipe(canonical_json(BUILT_IN[name])) == BUILT_IN[name]


def test_standard_is_what_the_contract_says() -> None:
    assert BUILT_IN["standard"] == Recipe.model_validate(
        {
            "variants": [
                {
                    "name": name,
                    "width": side,
                    "height": side,
                    "grayscale": grey,
                    "format": "webp",
                    "quality": 85,
                }
                for name, side, grey in (
                    ("standard", 800, False),
                    ("thumbnail", 200, False),
                    ("grayscale", 800, True),
                )
            ]
        }
    )
