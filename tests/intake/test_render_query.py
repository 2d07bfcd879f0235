"""The query of a render: text becomes what the recipe's model wants, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from imgsvc.errors import InvalidRecipe, InvalidRequest
from imgsvc.intake.render_query import FIELDS, VARIANT, parse_render
from imgsvc.recipes.model import Variant
from imgsvc.recipes.validation import parse_recipe

WATERMARK = '{"text": "©", "opacity": 0.4}'

READ: list[tuple[str, str, Any]] = [
    ("width", "300", 300),
    ("mode", "fill", "fill"),
    ("enlarge", "true", True),
    ("enlarge", "0", False),
    ("gravity", "attention", "attention"),
    ("gravity", "0.25,1", {"x": 0.25, "y": 1}),
    ("gravity", '{"x": 0.25, "y": 1}', {"x": 0.25, "y": 1}),
    ("crop", "1, 2,30,40", {"left": 1, "top": 2, "width": 30, "height": 40}),
    ("trim", "true", True),
    ("trim", "1", 1),
    ("trim", "0", 0),
    ("rotate", "90", 90),
    ("flip", "1", True),
    ("background", "#abc", "#abc"),
    ("blur", "2.5", 2.5),
    ("blur", ".5", 0.5),
    ("sharpen", "true", True),
    ("sharpen", "1", 1),
    ("watermark", WATERMARK, {"text": "©", "opacity": 0.4}),
    ("format", "webp", "webp"),
    ("quality", "80", 80),
    ("max_bytes", "2048", 2048),
    ("animation", "first", "first"),
]


@pytest.mark.parametrize(("name", "text", "value"), READ)
def test_a_field_is_read_as_the_model_has_it(name: str, text: str, value: object) -> None:
    (variant,) = parse_render({name: text}).recipe["variants"]
    assert variant == {"name": VARIANT, name: value}
    assert type(variant[name]) is type(value)
    parse_recipe({"variants": [variant]})


def test_every_field_of_the_model_can_be_given() -> None:
    assert {*FIELDS, "name"} == set(Variant.model_fields)
    assert {name for name, _, _ in READ} >= set(FIELDS) - {
        "height", "flop", "grayscale", "lossless", "effort", "progressive", "metadata"
    }  # fmt: skip


WRONG: list[tuple[str, str]] = [
    ("width", "wide"),
    ("width", "1.5"),
    ("width", "0"),
    ("width", "9" * 30),
    ("enlarge", "maybe"),
    ("flip", "2"),
    ("gravity", "0.5"),
    ("gravity", "0.5,0.5,0.5"),
    ("gravity", "2,2"),
    ("crop", "1,2,3"),
    ("crop", "{"),
    ("crop", "true"),
    ("watermark", "{}"),
    ("watermark", "mine"),
    ("watermark", "[" * 9999),
    ("rotate", "45"),
    ("rotate", "true"),
    ("sharpen", "yes"),
    ("blur", "nan"),
    ("blur", "1e3"),
    ("format", "bmp"),
    ("background", "red"),
]


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_what_does_not_fit_is_refused_at_its_place(name: str, text: str) -> None:
    with pytest.raises(InvalidRecipe) as caught:
        parse_recipe(parse_render({name: text}).recipe)
    for fault in caught.value.faults:
        assert fault.pointer.removeprefix("/variants/0").split("/")[1] == name


def test_an_empty_parameter_was_not_given() -> None:
    spec = parse_render({"preset": "", "variant": "", "width": ""})
    assert (spec.preset, spec.variant) == (None, None)
    assert spec.recipe == {"variants": [{"name": VARIANT}]}


def test_a_preset_stands_alone() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_render({"preset": "thumbnail", "width": "3", "flip": "1"})
    assert [fault.pointer for fault in caught.value.faults] == ["/width", "/flip"]


def test_a_variant_is_one_of_a_preset() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_render({"variant": "thumbnail"})
    assert [fault.pointer for fault in caught.value.faults] == ["/variant"]
