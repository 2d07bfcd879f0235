"""Turn the picture upright, as EXIF orientation tells."""

from __future__ import annotations

from collections.abc import Callable

import pyvips

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


def orient(image: pyvips.Image, orientation: int) -> pyvips.Image:
    """`image` upright and in memory. It has to be in memory before: turning reads it all."""
    turn = _TURNS.get(orientation)
    return image if turn is None else turn(image).copy_memory()
