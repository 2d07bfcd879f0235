"""Watermarks of a recipe: which pictures they name, and where a mark lies on a variant."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from imgsvc.recipes.model import Recipe, Variant, Watermark, canonical_json, load_recipe
from imgsvc.recipes.placement import Place, place
from imgsvc.recipes.sizes import Size, scaled

MAX_MARGIN_SHARE = 4
"""Margins take at most one part in this many of the shorter side: half is left for the mark."""

_PIN = '"sha256":'
"""Where this stands nowhere in a recipe's JSON, it has no pinned watermark."""


class Spot(NamedTuple):
    """A mark's size and place on the variant, in pixels."""

    size: Size
    at: Place


def find_spot(canvas: Size, natural: Size, watermark: Watermark) -> Spot:
    """Where the mark goes: as wide as `scale` says, smaller where it would not fit between
    the margins, its ratio kept, at least 1 pixel.

    natural: the mark's own size; only its ratio counts.
    """
    margin = min(watermark.margin, min(canvas) // MAX_MARGIN_SHARE)
    room = Size(canvas.width - 2 * margin, canvas.height - 2 * margin)
    size = _fit(natural, max(1, int(canvas.width * watermark.scale + 0.5)), room)
    at = place(canvas, size, watermark.gravity)
    return Spot(
        size,
        Place(
            min(max(at.left, margin), canvas.width - margin - size.width),
            min(max(at.top, margin), canvas.height - margin - size.height),
        ),
    )


def _fit(natural: Size, width: int, room: Size) -> Size:
    width = min(width, room.width)
    height = scaled(natural.height, width, natural.width)
    if height <= room.height:
        return Size(width, height)
    return Size(min(width, scaled(natural.width, room.height, natural.height)), room.height)


def named_watermarks(recipe: Recipe) -> dict[int, str]:
    """Position of each variant with a watermark that is kept by name, and the name."""
    return {
        number: variant.watermark.preset_image
        for number, variant in enumerate(recipe.variants)
        if variant.watermark is not None and variant.watermark.preset_image is not None
    }


def pin_watermarks(recipe: Recipe, digests: Mapping[str, str]) -> Recipe:
    """The recipe with the content (sha256) of every watermark that it names.

    Raises KeyError for a name that is not among `digests`.
    """
    return Recipe(variants=tuple(_pin(variant, digests) for variant in recipe.variants))


@lru_cache(maxsize=256)
def unpin_watermarks(recipe: str) -> str:
    """A job's canonical recipe as it was submitted."""
    if _PIN not in recipe:
        return recipe
    variants = tuple(_unpin(variant) for variant in load_recipe(recipe).variants)
    return canonical_json(Recipe(variants=variants))


@lru_cache(maxsize=256)
def pinned_watermarks(recipe: str) -> tuple[str, ...]:
    """The contents (sha256) that a job's canonical recipe needs, each once."""
    if _PIN not in recipe:
        return ()
    marks = (variant.watermark for variant in load_recipe(recipe).variants)
    return tuple(dict.fromkeys(mark.sha256 for mark in marks if mark and mark.sha256))


def _pin(variant: Variant, digests: Mapping[str, str]) -> Variant:
    mark = variant.watermark
    if mark is None or mark.preset_image is None:
        return variant
    pinned = mark.model_copy(update={"sha256": digests[mark.preset_image]})
    return variant.model_copy(update={"watermark": pinned})


def _unpin(variant: Variant) -> Variant:
    mark = variant.watermark
    if mark is None or mark.sha256 is None:
        return variant
    return variant.model_copy(update={"watermark": mark.model_copy(update={"sha256": None})})
