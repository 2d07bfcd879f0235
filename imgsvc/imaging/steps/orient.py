"""Turn the picture upright, as EXIF orientation tells."""

from __future__ import annotations

from collections.abc import Callable

import pyvips

from imgsvc.recipes.placement import Box
from imgsvc.recipes.sizes import Size

_TURNS: dict[int, Callable[[pyvips.Image], pyvips.Image]] = {
    2: lambda image: image.fliphor(),
    3: lambda image: image.rot180(),
    4: lambda image: image.flipver(),
    5: lambda image: image.rot90().fliphor(),
    6: lambda image: image.rot90(),
    7: lambda image: image.rot270().fliphor(),
    8: lambda image: image.rot270(),
}
"""By EXIF 2.32, 4.6.4 A, tag 274."""

_MIRRORED_ACROSS = frozenset({2, 3, 7, 8})
_MIRRORED_DOWN = frozenset({3, 4, 6, 7})


def orient(image: pyvips.Image, orientation: int) -> pyvips.Image:
    """`image` upright and in memory. It has to be in memory before: turning reads it all.

    The tag goes, or encoders would note the turn a second time.
    """
    turn = _TURNS.get(orientation)
    image = image.copy() if turn is None else turn(image).copy_memory()
    if image.get_typeof("orientation"):
        image.remove("orientation")
    return image


def is_turned(orientation: int) -> bool:
    """Whether orientation swaps the sides."""
    return orientation >= 5


def to_stored(box: Box, orientation: int, stored: Size) -> Box:
    """Where a box of the upright picture lies in the picture as it is stored."""
    if is_turned(orientation):
        box = Box(box.top, box.left, box.height, box.width)
    return _mirror(box, orientation, stored)


def to_upright(box: Box, orientation: int, stored: Size) -> Box:
    """The way back."""
    box = _mirror(box, orientation, stored)
    if is_turned(orientation):
        box = Box(box.top, box.left, box.height, box.width)
    return box


def _mirror(box: Box, orientation: int, stored: Size) -> Box:
    left, top, width, height = box
    if orientation in _MIRRORED_ACROSS:
        left = stored.width - left - width
    if orientation in _MIRRORED_DOWN:
        top = stored.height - top - height
    return Box(left, top, width, height)
