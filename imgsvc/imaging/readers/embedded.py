"""Pictures inside icons: what they say of their size, and not what the directory says."""

from __future__ import annotations

from struct import unpack_from
from typing import NamedTuple

from imgsvc.imaging.readers import codestream
from imgsvc.imaging.readers.files import BoundedFile

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG2000 = (b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")
_CORE_HEADER_BYTES = 12
_PEEK_BYTES = 64


class Sides(NamedTuple):
    width: int
    height: int


def read_png_or_jpeg2000(file: BoundedFile, offset: int) -> Sides | None:
    """None when neither stands there. Raises struct.error when it is cut off."""
    head = file.read_at(offset, _PEEK_BYTES)
    if head.startswith(_PNG):
        return Sides(*unpack_from(">II", head, 16))
    if head.startswith(_JPEG2000):
        found = codestream.find(file, offset)
        return Sides(found.width, found.height)
    return None


def read_icon_bitmap(file: BoundedFile, offset: int) -> Sides:
    """A bitmap without a file header, as high as the picture and its mask together."""
    head = file.read_at(offset, _PEEK_BYTES)
    (header_bytes,) = unpack_from("<I", head)
    shape = "<HH" if header_bytes == _CORE_HEADER_BYTES else "<II"
    width, height = unpack_from(shape, head, 4)
    return Sides(width, height // 2)
