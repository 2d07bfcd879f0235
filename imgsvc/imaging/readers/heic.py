"""HEIC and its relatives, by pillow-heif.

libheif turns the picture upright by what the container says, and the container alone: what
EXIF says of the orientation is for show (ISO 23008-12, 6.5.10 and A.2.1).
"""

from __future__ import annotations

import re
from typing import Any

import pillow_heif
import pyvips

from imgsvc.imaging.readers.boxes import read_content, walk
from imgsvc.imaging.readers.files import BoundedFile
from imgsvc.imaging.readers.outline import Outline, Space
from imgsvc.imaging.readers.pixels import with_blob, with_profile

_KINDS: dict[str, tuple[int, Space]] = {
    "L": (1, "b-w"),
    "LA": (2, "b-w"),
    "RGB": (3, "srgb"),
    "RGBA": (4, "srgb"),
    "RGBa": (4, "srgb"),
    "I;16": (1, "grey16"),
}
"""By pillow-heif's mode: bands and space."""

_NEEDED = frozenset({b"meta", b"mdat"})
_SIZE_PROPERTY = re.compile(rb"ispe.{4}(.{8})", re.DOTALL)
_PADDING = 128
_MOST_HIDDEN = 4
"""How many times what is seen may be decoded. Encoders fill up blocks, and hide that by a crop."""

_DISPLAY_P3 = 12
"""Colour primaries of ITU-T H.273, table 2: SMPTE EG 432-1."""

pillow_heif.options.DECODE_THREADS = 1
pillow_heif.options.THUMBNAILS = False
pillow_heif.options.DEPTH_IMAGES = False
pillow_heif.options.AUX_IMAGES = False


def read_outline(file: BoundedFile, format_: str) -> Outline:
    coded_pixels = _check_boxes(file)
    picture = _open(file)
    bands, space = _kind_of(picture)
    width, height = picture.size
    if coded_pixels > _MOST_HIDDEN * (width + _PADDING) * (height + _PADDING):
        raise NotImplementedError("limits are checked for what is seen of a picture")
    return Outline(width, height, bands, space)


def read_pixels(file: BoundedFile, format_: str) -> pyvips.Image:
    picture = _open(file)
    data = picture.data  # decodes, and may correct the size
    bands, space = _kind_of(picture)
    sample = "ushort" if space == "grey16" else "uchar"
    image = pyvips.Image.new_from_memory(data, *picture.size, bands, sample)
    image = image.copy(interpretation=space)
    if picture.premultiplied_alpha:
        image = image.unpremultiply().cast("uchar")
    info: dict[str, Any] = picture.info
    pillow_heif.set_orientation(info)  # as it is upright, its metadata must not turn it
    image = with_profile(image, _find_profile(info))
    return with_blob(with_blob(image, "exif-data", info.get("exif")), "xmp-data", info.get("xmp"))


def _check_boxes(file: BoundedFile) -> int:
    """Pixels of the largest picture before it is cropped, by its `ispe` property.

    Raises EOFError for a file that is cut off: libheif leaves tiles that are missing black.
    """
    coded_pixels = 0
    for box in walk(file):
        if box.kind not in _NEEDED:
            continue
        if box.end > file.size_bytes:
            raise EOFError("the file is cut off")
        if box.kind == b"meta":
            sizes = _SIZE_PROPERTY.finditer(read_content(file, box))
            coded_pixels = max((_area(size[1]) for size in sizes), default=0)
    return coded_pixels


def _area(sides: bytes) -> int:
    return int.from_bytes(sides[:4], "big") * int.from_bytes(sides[4:], "big")


def _open(file: BoundedFile) -> pillow_heif.HeifImage:
    pictures = pillow_heif.open_heif(file)
    return pictures[pictures.primary_index]


def _kind_of(picture: pillow_heif.HeifImage) -> tuple[int, Space]:
    """Raises NotImplementedError for a mode that is not known here."""
    try:
        return _KINDS[picture.mode]
    except KeyError as exc:
        raise NotImplementedError("a mode that is not known here") from exc


def _find_profile(info: dict[str, Any]) -> bytes | None:
    """The file's own, or libvips' for a picture that only names its primaries."""
    if "icc_profile" in info:
        profile: bytes = info["icc_profile"]
        return profile
    if info.get("nclx_profile", {}).get("color_primaries") == _DISPLAY_P3:
        named: bytes = pyvips.Operation.call("profile_load", "p3")
        return named
    return None
