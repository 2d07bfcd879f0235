"""A picture shrunk to a few hundred pixels, few enough to be looked at in plain Python."""

from __future__ import annotations

from typing import NamedTuple

import pyvips

from imgsvc.recipes.sizes import Size

SIDE = 20
"""Pixels of the longer side, about. Enough for seven waves across, and every pixel costs."""

_SAMPLES = 18
_SAMPLES_WITH_ALPHA = 9
"""So many pixels each way, at least, make one of the miniature; most others are passed over.
All of them would take 0.5 ms a megapixel, and ten times that weighed by their opacity."""

_LONGEST_STEP = 9
"""With longer ones libvips fetches every pixel by itself, which takes three times as long."""

_COLOUR_BANDS = 3
_OPAQUE = 255


class Miniature(NamedTuple):
    """Planes of one byte a pixel, row by row; colours are not premultiplied.

    alpha: None where every pixel is opaque.
    """

    size: Size
    red: bytes
    green: bytes
    blue: bytes
    alpha: bytes | None = None


def take_miniature(image: pyvips.Image, shape: Size) -> Miniature:
    """A miniature of 8-bit sRGB or grey in memory.

    shape: size of the picture that `image` shows, which may stand in it stretched. The
    miniature comes near its ratio: blocks of whole pixels are averaged, which is fastest.
    """
    if image.hasalpha():
        small = _shrink(_thin_out(image, _SAMPLES_WITH_ALPHA).premultiply(), shape)
        small = small.unpremultiply().rint().cast("uchar")
    else:
        small = _shrink(_thin_out(image, _SAMPLES), shape)
    return _split(bytes(small.write_to_memory()), Size(small.width, small.height), small.bands)


def _thin_out(image: pyvips.Image, samples: int) -> pyvips.Image:
    """Of every so many pixels one, where there are more than enough."""
    across, down = (_step(side // (SIDE * samples)) for side in (image.width, image.height))
    return image if (across, down) == (1, 1) else image.subsample(across, down)


def _step(most: int) -> int:
    """Even steps would see one half of a chequered pattern alone."""
    return min(_LONGEST_STEP, max(1, most - 1 + most % 2))


def _shrink(image: pyvips.Image, shape: Size) -> pyvips.Image:
    across = _block(image.width, shape.width, max(shape))
    down = _block(image.height, shape.height, max(shape))
    return image if (across, down) == (1, 1) else image.shrinkv(down).shrinkh(across)


def _block(pixels: int, side: int, longer_side: int) -> int:
    """How many of `pixels` make one, so that `longer_side` comes to about SIDE."""
    return min(pixels, max(1, round(pixels * longer_side / (SIDE * side))))


def _split(pixels: bytes, size: Size, bands: int) -> Miniature:
    planes = [pixels[band::bands] for band in range(bands)]
    alpha = planes.pop() if bands in (2, _COLOUR_BANDS + 1) else None
    if alpha is not None and min(alpha) == _OPAQUE:
        alpha = None
    red, green, blue = planes if len(planes) == _COLOUR_BANDS else planes * _COLOUR_BANDS
    return Miniature(size, red, green, blue, alpha)
