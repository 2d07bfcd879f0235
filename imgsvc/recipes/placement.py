"""Where a smaller rectangle lies in a larger one: integers, rounded half up."""

from __future__ import annotations

from typing import NamedTuple

from imgsvc.recipes.model import Gravity, Point
from imgsvc.recipes.sizes import Size


class Place(NamedTuple):
    """Of the smaller one's upper left corner, in pixels."""

    left: int
    top: int


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)


_HALVES = {
    "centre": (1, 1),
    "north": (1, 0),
    "northeast": (2, 0),
    "east": (2, 1),
    "southeast": (2, 2),
    "south": (1, 2),
    "southwest": (0, 2),
    "west": (0, 1),
    "northwest": (0, 0),
}
"""Of the room that is left: how many halves lie before the smaller one."""


def place(outer: Size, inner: Size, gravity: Gravity) -> Place:
    """By compass, or with its middle as near to a point as may be. What has to be looked for
    in the picture (`attention`, `entropy`) is the centre here.
    """
    room = Size(outer.width - inner.width, outer.height - inner.height)
    if isinstance(gravity, Point):
        return Place(
            _near(gravity.x, outer.width, inner.width, room.width),
            _near(gravity.y, outer.height, inner.height, room.height),
        )
    across, down = _HALVES.get(gravity, _HALVES["centre"])
    return Place((across * room.width + 1) // 2, (down * room.height + 1) // 2)


def _near(share: float, outer: int, inner: int, room: int) -> int:
    return max(0, min(room, int(share * outer - inner / 2 + 0.5)))
