"""The flat picture of a Photoshop file; layers are not looked at.

Pillow reads these too, but no 16 bits, takes every fourth channel for transparency, and does
not know whether the flat picture is there at all. Its unpacking of lines is used.
"""

from __future__ import annotations

from typing import NamedTuple

import pyvips
from PIL import Image

from imgsvc.errors import ImageError, ImageErrorCode
from imgsvc.imaging.readers.files import BoundedFile
from imgsvc.imaging.readers.outline import Outline, Space
from imgsvc.imaging.readers.pixels import with_profile
from imgsvc.imaging.readers.psd_sections import Sections, read_sections

_RAW, _PACKED = 0, 1
_PALETTE_COLOURS = 256
_FULL = 255


class _Mode(NamedTuple):
    colours: int
    space: Space


_BITMAP, _GREY, _INDEXED, _RGB, _CMYK, _DUOTONE, _LAB = 0, 1, 2, 3, 4, 8, 9
_MODES = {
    _BITMAP: _Mode(1, "b-w"),
    _GREY: _Mode(1, "b-w"),
    _INDEXED: _Mode(1, "srgb"),
    _RGB: _Mode(3, "srgb"),
    _CMYK: _Mode(4, "cmyk"),
    _DUOTONE: _Mode(1, "b-w"),  # the inks are not told; its specification says to show it grey
    _LAB: _Mode(3, "srgb"),
}
_WIDE_SPACES: dict[Space, Space] = {"b-w": "grey16", "srgb": "rgb16"}
_DEPTHS = {
    _BITMAP: (1,),
    _GREY: (8, 16),
    _INDEXED: (8,),
    _RGB: (8, 16),
    _CMYK: (8,),
    _DUOTONE: (8, 16),
    _LAB: (8,),
}
_SHOWN_THROUGH = frozenset({_GREY, _RGB})
"""Modes of which transparency is read."""


def read_outline(file: BoundedFile, format_: str) -> Outline:
    sections = read_sections(file)
    _check(sections)
    bands = 3 if sections.mode == _INDEXED else _count_channels(sections)
    return Outline(sections.width, sections.height, bands, _space(sections))


def read_pixels(file: BoundedFile, format_: str) -> pyvips.Image:
    sections = read_sections(file)
    _check(sections)
    image = _join_planes(_read_planes(file, sections), sections)
    if sections.mode == _INDEXED:
        return _look_up(image, sections.palette)
    if sections.mode == _LAB:
        return _from_lab(image)
    if sections.mode == _CMYK:
        image = image.invert()  # full ink is 0 in these files
    image = image.copy(interpretation=_space(sections))
    if _has_alpha(sections):
        image = _without_white(image)
    return with_profile(image, sections.profile)


def _check(sections: Sections) -> None:
    """Raises ImageError for files without a flat picture, NotImplementedError for kinds that
    are not read here, ValueError for what no program writes.
    """
    if not sections.has_composite:
        raise ImageError(
            ImageErrorCode.UNSUPPORTED_FORMAT,
            "The PSD file holds layers only. Save it with maximised compatibility.",
        )
    if sections.depth not in _DEPTHS.get(sections.mode, ()):
        raise NotImplementedError("a colour mode or depth that is not read here")
    if sections.channels < _MODES[sections.mode].colours:
        raise ValueError("not enough channels")


def _space(sections: Sections) -> Space:
    space = _MODES[sections.mode].space
    return _WIDE_SPACES[space] if sections.depth == 16 else space


def _has_alpha(sections: Sections) -> bool:
    is_there = sections.channels > _MODES[sections.mode].colours
    return is_there and sections.alpha_is_transparency and sections.mode in _SHOWN_THROUGH


def _count_channels(sections: Sections) -> int:
    """Of those that are read."""
    return _MODES[sections.mode].colours + _has_alpha(sections)


def _read_planes(file: BoundedFile, sections: Sections) -> bytes:
    """The channels that are read, one after the other. Raises EOFError for a cut-off file."""
    line_bytes = (sections.width * sections.depth + 7) // 8
    lines = _count_channels(sections) * sections.height
    compression = int.from_bytes(file.read_at(sections.pixels_at, 2), "big")
    at = sections.pixels_at + 2
    if compression == _RAW:
        data = file.read_at(at, line_bytes * lines)
    elif compression == _PACKED:
        counts_bytes = sections.channels * sections.height * sections.counts_bytes
        packed = file.read_at(at + counts_bytes, file.size_bytes)
        data = Image.frombytes("L", (line_bytes, lines), packed, "packbits", "L").tobytes()
    else:
        raise NotImplementedError("a compression that is not read here")
    if len(data) < line_bytes * lines:
        raise EOFError("the picture is cut off")
    return data


def _join_planes(data: bytes, sections: Sections) -> pyvips.Image:
    """One image of as many bands as there are planes."""
    width, height = sections.width, sections.height
    if sections.depth == 1:
        pixels = Image.frombytes("1", (width, height), data, "raw", "1;I").convert("L").tobytes()
        return pyvips.Image.new_from_memory(pixels, width, height, 1, "uchar")
    count = _count_channels(sections)
    sample = "ushort" if sections.depth == 16 else "uchar"
    tall = pyvips.Image.new_from_memory(data, width, height * count, 1, sample)
    if sections.depth == 16:
        tall = tall.byteswap()
    planes = [tall.crop(0, height * plane, width, height) for plane in range(count)]
    return planes[0].bandjoin(planes[1:]) if count > 1 else planes[0]


def _look_up(image: pyvips.Image, palette: bytes) -> pyvips.Image:
    """Raises ValueError for a palette of another size than 256 colours."""
    if len(palette) < 3 * _PALETTE_COLOURS:
        raise ValueError("a palette that is too short")
    tables = [
        pyvips.Image.new_from_memory(
            palette[start : start + _PALETTE_COLOURS], _PALETTE_COLOURS, 1, 1, "uchar"
        )
        for start in range(0, 3 * _PALETTE_COLOURS, _PALETTE_COLOURS)
    ]
    return image.maplut(tables[0].bandjoin(tables[1:])).copy(interpretation="srgb")


def _from_lab(image: pyvips.Image) -> pyvips.Image:
    """Lightness fills its byte, and the colours stand around its middle."""
    lab = image.linear([100 / _FULL, 1, 1], [0, -128, -128]).copy(interpretation="lab")
    return lab.colourspace("srgb")


def _without_white(image: pyvips.Image) -> pyvips.Image:
    """Flat pictures are laid on white: take it out again, or edges keep a white seam."""
    full = 65535 if image.format == "ushort" else _FULL
    alpha = image[image.bands - 1]
    colours = image.extract_band(0, n=image.bands - 1)
    freed = (colours - full) * full / alpha + full  # libvips makes 0 of a division by 0
    return freed.bandjoin(alpha).cast(image.format).copy(interpretation=image.interpretation)
