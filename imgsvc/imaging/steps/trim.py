"""Find what a uniform border surrounds."""

from __future__ import annotations

from collections.abc import Iterable

import pyvips

from imgsvc.recipes.placement import Box


def find_content(frames: Iterable[pyvips.Image], threshold: int) -> Box | None:
    """The smallest box that holds, in every frame, all that differs from the frame's first
    pixel by more than `threshold` (0..255). None when nothing does.
    """
    found = None
    for frame in frames:
        left, top, width, height = _find(frame, threshold)
        if width and height:
            found = _join(found, Box(left, top, width, height))
    return found


def _find(image: pyvips.Image, threshold: int) -> list[int]:
    """A transparent border is found by its alpha: its colour is nobody's business."""
    if image.format != "uchar" or image.interpretation == "cmyk":
        image = image.colourspace("srgb").cast("uchar")
    border = image.getpoint(0, 0)
    if image.hasalpha() and border[-1] == 0:
        image, border = image.extract_band(image.bands - 1), [0]
    elif image.hasalpha():
        border = border[:-1]
        image = image.flatten(background=border)
    box: list[int] = image.find_trim(threshold=threshold, background=border, line_art=True)
    return box


def _join(one: Box | None, other: Box) -> Box:
    if one is None:
        return other
    left, top = min(one.left, other.left), min(one.top, other.top)
    right = max(one.left + one.width, other.left + other.width)
    bottom = max(one.top + one.height, other.top + other.height)
    return Box(left, top, right - left, bottom - top)
