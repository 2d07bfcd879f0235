"""Decode once: from the file to the base that every variant is made from."""

from __future__ import annotations

from typing import NamedTuple

import pyvips

from imgsvc.imaging.loaders import open_file
from imgsvc.imaging.probe import Header
from imgsvc.imaging.readers.registry import FOREIGN_FORMATS, read_pixels
from imgsvc.imaging.steps.colour import to_srgb
from imgsvc.imaging.steps.orient import orient
from imgsvc.imaging.steps.resize import LINEAR_MAX_PIXELS, resize, resize_by_light
from imgsvc.imaging.translation import reading
from imgsvc.recipes.sizes import Size

_SPARE = 1.5
"""A decoder's own shrink is rough: it stops at this many times the size that is needed, and
a proper filter does the rest. Measured on photos against shrinking the full decode: 1.5
stays above 42 dB, 1.0 falls to 35 dB."""

_JPEG_SHRINKS = (8, 4, 2)
_OPAQUE = 255


class Decoded(NamedTuple):
    """image: upright 8-bit sRGB or grey, in memory."""

    image: pyvips.Image
    profile_assumed: bool


def decode(header: Header, path: str, size: Size) -> Decoded:
    """The picture at `size` (upright, at most the source's). Uses up `header.image`.

    Turned and converted after it is shrunk, which comes to the same and costs a fraction.
    Raises ImageError with corrupt_image, unsupported_format or out_of_memory.
    """
    stored_size = Size(size.height, size.width) if header.turned else size
    with reading():
        shrunk = _shrink(_open(header, path, stored_size), stored_size)
        image, profile_assumed = to_srgb(shrunk)
        image = orient(image.copy_memory(), header.orientation)
        return Decoded(_without_idle_alpha(image), profile_assumed)


def load_options(header: Header, size: Size) -> dict[str, float]:
    """What the loader itself may shrink by, for a picture of `size` as stored."""
    room = min(header.stored.width / size.width, header.stored.height / size.height) / _SPARE
    if header.format == "jpeg" and not _is_small(header.stored):
        return next(({"shrink": shrink} for shrink in _JPEG_SHRINKS if room >= shrink), {})
    if header.format == "webp" and header.frames == 1 and room > _SPARE:
        return {"scale": 1.0 / room}
    return {}


def _open(header: Header, path: str, size: Size) -> pyvips.Image:
    if header.format in FOREIGN_FORMATS:
        return read_pixels(path, header.format, header.image)
    options = load_options(header, size)
    return open_file(path, header.format, **options) if options else header.image


def _shrink(image: pyvips.Image, size: Size) -> pyvips.Image:
    if _is_small(Size(image.width, image.height)) and (image.width, image.height) != size:
        return resize_by_light(image.copy_memory(), size)
    return resize(image, size)


def _is_small(size: Size) -> bool:
    """Small enough to be decoded whole, where no shortcut pays."""
    return size.width * size.height <= LINEAR_MAX_PIXELS


def _without_idle_alpha(image: pyvips.Image) -> pyvips.Image:
    """An alpha that is opaque everywhere only costs time and bytes."""
    if not image.hasalpha() or image.extract_band(image.bands - 1).min() < _OPAQUE:
        return image
    return image.extract_band(0, n=image.bands - 1)
