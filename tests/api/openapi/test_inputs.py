"""What the document takes for valid is what the server takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from imgsvc.api.openapi.document import build_document
from imgsvc.config import LimitSettings
from imgsvc.errors import RequestError
from imgsvc.intake.batch_spec import parse_batch
from imgsvc.intake.retry import parse_retry
from imgsvc.intake.spec import parse_spec
from imgsvc.recipes.model import MAX_VARIANTS
from imgsvc.recipes.presets import BUILT_IN
from imgsvc.recipes.validation import parse_recipe
from tests.descriptions import Description, Undescribed

DESCRIPTION = Description(build_document(LimitSettings()))
PARSERS: dict[str, Callable[[Any], Any]] = {
    "Recipe": parse_recipe,
    "JobSpec": parse_spec,
    "RetrySpec": parse_retry,
    "BatchSpec": parse_batch,
}


def variant(**fields: Any) -> dict[str, Any]:
    return {"variants": [{"name": "v", **fields}]}


def mark(**fields: Any) -> dict[str, Any]:
    return variant(watermark=fields)


WRONG: list[tuple[str, Any]] = [
    ("Recipe", {}),
    ("Recipe", {"variants": []}),
    ("Recipe", {"variants": [{"name": f"v{n}"} for n in range(MAX_VARIANTS + 1)]}),
    ("Recipe", {"variants": [{}]}),
    ("Recipe", variant(name="V")),
    ("Recipe", variant(sparkle=True)),
    ("Recipe", variant(width=0)),
    ("Recipe", variant(width=16385)),
    ("Recipe", variant(width="9")),
    ("Recipe", variant(rotate=45)),
    ("Recipe", variant(trim=256)),
    ("Recipe", variant(blur=0.2)),
    ("Recipe", variant(max_bytes=1023)),
    ("Recipe", variant(background="red")),
    ("Recipe", variant(gravity={"x": 2, "y": 0})),
    ("Recipe", variant(crop={"left": 0, "top": 0, "width": 0, "height": 1})),
    ("Recipe", mark()),
    ("Recipe", mark(preset_image="logo", text="x")),
    ("Recipe", mark(text="x", gravity="attention")),
    ("Recipe", mark(text="x", sha256="0" * 64)),
    ("JobSpec", {"images": [{}]}),
    ("JobSpec", {"images": [{"data": "", "url": "https://a.example/"}]}),
    ("JobSpec", {"images": [{"data": None, "url": None}]}),
    ("JobSpec", {"preset": "web", "recipe": variant()}),
    ("JobSpec", {"label": "x" * 201}),
    ("JobSpec", {"priority": "urgent"}),
    ("JobSpec", {"open": 1}),
    ("JobSpec", {"retain_s": -1}),
    ("JobSpec", {"webhook": {}}),
    ("JobSpec", {"webhook": {"url": "ftp://a.example/"}}),
    ("JobSpec", {"webhook": {"url": "https://a.example/", "events": []}}),
    ("RetrySpec", {"codes": ["nonsense"]}),
    ("RetrySpec", {"codes": [], "indexes": []}),
    ("RetrySpec", {"indexes": [-1]}),
    ("BatchSpec", {"images": []}),
    ("BatchSpec", {"images": [{"data": ""}]}),
    ("BatchSpec", {"images": [{"base64": "", "url": ""}]}),
]

RIGHT: list[tuple[str, Any]] = [
    *(("Recipe", recipe.model_dump(mode="json", exclude_defaults=True))
      for recipe in BUILT_IN.values()),
    ("Recipe", variant(width=None, quality=None, trim=False, sharpen=True, blur=0.3)),
    ("Recipe", variant(trim=0, gravity={"x": 0, "y": 1.0}, background="#AbC")),
    ("Recipe", mark(text="x", preset_image=None, gravity="centre")),
    ("JobSpec", {}),
    ("JobSpec", {"images": [{"data": "", "url": None, "name": None}]}),
    ("JobSpec", {"preset": "web", "recipe": None, "label": None, "webhook": None}),
    ("JobSpec", {"webhook": {"url": "HTTPS://a.example/", "secret": None}}),
    ("RetrySpec", {}),
    ("RetrySpec", {"codes": ["timeout"], "indexes": None}),
    ("BatchSpec", {"images": [{"base64": "", "name": "a"}, {"url": "ftp://a.example/"}]}),
]  # fmt: skip


def check(name: str, document: Any) -> None:
    DESCRIPTION.check({"$ref": f"#/components/schemas/{name}"}, document)


@pytest.mark.parametrize(("name", "document"), WRONG)
def test_what_is_wrong_is_so_to_both(name: str, document: Any) -> None:
    with pytest.raises(RequestError):
        PARSERS[name](document)
    with pytest.raises(Undescribed):
        check(name, document)


@pytest.mark.parametrize(("name", "document"), RIGHT)
def test_what_is_right_is_so_to_both(name: str, document: Any) -> None:
    PARSERS[name](document)
    check(name, document)
