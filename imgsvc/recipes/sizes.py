"""The exact sizes of variants: integers in, integers out, no floating point.

Everything is computed from the source as it stands after orientation, crop and trim, rounded
half up, and is at least 1. Sizes are in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from imgsvc.recipes.model import Mode, Variant


class Size(NamedTuple):
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SizePlan:
    """picture: what the source is resized to. kept: what is left of that (less for fill only).
    canvas: what the variant measures in the end, turned and, for pad, with its margins.

    limited: the box asked for more than the source has, and was not followed.
    """

    picture: Size
    kept: Size
    canvas: Size
    limited: bool = False


def plan_variant_size(source: Size, variant: Variant) -> SizePlan:
    """The sizes of a variant. Its box is what it measures in the end: a quarter turn, which
    comes after the resize, swaps the sides of what is asked of the resize.
    """
    turned = variant.rotate in (90, 270)
    width, height = variant.width, variant.height
    if turned:
        width, height = height, width
    plan = plan_size(source, width, height, variant.mode, enlarge=variant.enlarge)
    if not turned:
        return plan
    return replace(plan, canvas=Size(plan.canvas.height, plan.canvas.width))


def plan_size(
    source: Size, width: int | None, height: int | None, mode: Mode, *, enlarge: bool
) -> SizePlan:
    """The sizes without a turn. None for a side lets it follow the ratio."""
    if width is None and height is None:
        return _same(source, limited=False)
    if width is None or height is None:
        return _same(*_fit_side(source, width, height, enlarge=enlarge))
    box = Size(width, height)
    if mode == "fit":
        return _same(*_fit(source, box, enlarge=enlarge))
    if mode == "pad":
        picture, limited = _fit(source, box, enlarge=enlarge)
        return SizePlan(picture, picture, box, limited)
    if mode == "fill":
        return _fill(source, box, enlarge=enlarge)
    return _same(box, limited=False)


def scaled(length: int, numerator: int, denominator: int) -> int:
    """`length * numerator / denominator`, rounded half up, at least 1."""
    return max(1, (2 * length * numerator + denominator) // (2 * denominator))


def _same(picture: Size, limited: bool) -> SizePlan:
    return SizePlan(picture, picture, picture, limited)


def _to_width(source: Size, width: int) -> Size:
    return Size(width, scaled(source.height, width, source.width))


def _to_height(source: Size, height: int) -> Size:
    return Size(scaled(source.width, height, source.height), height)


def _fit_side(
    source: Size, width: int | None, height: int | None, *, enlarge: bool
) -> tuple[Size, bool]:
    size = _to_width(source, width) if width is not None else _to_height(source, height or 1)
    grows = (width or 0) > source.width or (height or 0) > source.height
    return (source, True) if grows and not enlarge else (size, False)


def _fit(source: Size, box: Size, *, enlarge: bool) -> tuple[Size, bool]:
    if not enlarge and box.width > source.width and box.height > source.height:
        return source, True
    if box.width * source.height <= box.height * source.width:
        return _to_width(source, box.width), False
    return _to_height(source, box.height), False


def _fill(source: Size, box: Size, *, enlarge: bool) -> SizePlan:
    """The source covers the box, and what stands over is cut away."""
    canvas = box
    limited = not enlarge and (box.width > source.width or box.height > source.height)
    if limited:
        canvas, _ = _fit(box, source, enlarge=False)
    if canvas.width * source.height >= canvas.height * source.width:
        cover = _to_width(source, canvas.width)
        return SizePlan(
            Size(cover.width, max(cover.height, canvas.height)), canvas, canvas, limited
        )
    cover = _to_height(source, canvas.height)
    return SizePlan(Size(max(cover.width, canvas.width), cover.height), canvas, canvas, limited)
