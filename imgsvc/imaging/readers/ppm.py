"""The portable any-maps: PBM, PGM and PPM, as text or in bytes.

Pillow reads the headers, and most of the pixels. Those in bytes with an unusual maximum it
would read one by one, and in 8 bits; that takes seconds a megapixel.
"""

from __future__ import annotations

import io
from typing import cast

import pyvips
from PIL.PpmImagePlugin import PpmImageFile

from imgsvc.imaging.readers.files import BoundedFile
from imgsvc.imaging.readers.outline import Outline, Space
from imgsvc.imaging.readers.pixels import outline_of, to_vips

_ONE_BY_ONE = "ppm"
_MOST_HEADER_BYTES = 1 << 16
"""With its comments, of which Pillow reads every byte by itself: 3 s for 4 MB."""

_FULL_BYTE, _FULL_WORD = 0xFF, 0xFFFF


def read_outline(file: BoundedFile, format_: str) -> Outline:
    PpmImageFile(io.BytesIO(file.read_at(0, _MOST_HEADER_BYTES)))  # raises if it goes on
    file.seek(0)
    picture = PpmImageFile(file)
    if picture.width * picture.height > 8 * file.size_bytes:  # none takes less than a bit a pixel
        raise EOFError("the picture is cut off")
    outline = outline_of(picture)
    if picture.tile[0].codec_name != _ONE_BY_ONE:
        return outline
    return Outline(outline.width, outline.height, outline.bands, _space(picture))


def read_pixels(file: BoundedFile, format_: str) -> pyvips.Image:
    picture = PpmImageFile(file)
    if picture.tile[0].codec_name == _ONE_BY_ONE:
        return _read_scaled(file, picture)
    picture.load()
    return to_vips(picture)


def _read_scaled(file: BoundedFile, picture: PpmImageFile) -> pyvips.Image:
    """Samples from 0 to any maximum, of two bytes where one does not hold it (ppm(5)).

    Raises EOFError for a file that is cut off.
    """
    space, bands = _space(picture), len(picture.getbands())
    sample, sample_bytes, full = (
        ("ushort", 2, _FULL_WORD) if space in {"grey16", "rgb16"} else ("uchar", 1, _FULL_BYTE)
    )
    size_bytes = picture.width * picture.height * bands * sample_bytes
    data = file.read_at(picture.tile[0].offset, size_bytes)
    if len(data) < size_bytes:
        raise EOFError("the picture is cut off")
    image = pyvips.Image.new_from_memory(data, picture.width, picture.height, bands, sample)
    if sample_bytes > 1:
        image = image.byteswap()
    scaled = image.linear(full / _maximum(picture), 0).rint().cast(sample)
    return scaled.copy(interpretation=space)


def _maximum(picture: PpmImageFile) -> int:
    _, maximum = cast("tuple[str, int]", picture.tile[0].args)
    return maximum


def _space(picture: PpmImageFile) -> Space:
    is_wide = _maximum(picture) > _FULL_BYTE
    if len(picture.getbands()) == 1:
        return "grey16" if is_wide else "b-w"
    return "rgb16" if is_wide else "srgb"
