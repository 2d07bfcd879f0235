"""What a file promises of its picture, before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyvips

Space = Literal["b-w", "srgb", "cmyk", "grey16", "rgb16"]

_WIDE_SPACES = frozenset({"grey16", "rgb16"})


@dataclass(frozen=True, slots=True)
class Outline:
    """width, height: pixels, upright. bands: alpha included. space: libvips' interpretation,
    which also tells 8 from 16 bits a sample.
    """

    width: int
    height: int
    bands: int
    space: Space

    def stand_in(self) -> pyvips.Image:
        """An image of this size and kind: black, and made of nothing until it is looked at.

        Raises pyvips.Error for a size that no picture has.
        """
        sample = "ushort" if self.space in _WIDE_SPACES else "uchar"
        black = pyvips.Image.black(self.width, self.height, bands=self.bands)
        return black.cast(sample).copy(interpretation=self.space)
