"""JPEG 2000 by its boxes: where the codestream is, what it says of its size, which colours.

ISO 15444-1, annexes A (markers) and I (boxes).
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack

from imgsvc.imaging.readers.files import BoundedFile

_START = b"\xff\x4f\xff\x51"
_SIZ_BYTES = 42
_BOX_HEADER_BYTES = 8
_LONG_BOX_HEADER_BYTES = 16
_MAX_HEADER_BYTES = 16 << 20
_ANY_PROFILE = frozenset({2, 3})
"""Methods of a colour box that holds an ICC profile."""


@dataclass(frozen=True, slots=True)
class Codestream:
    """components: alpha included. profile: ICC, of the boxes around it."""

    width: int
    height: int
    components: int
    profile: bytes | None


def find(file: BoundedFile, offset: int = 0) -> Codestream:
    """The one that begins at `offset`, bare or in boxes.

    Raises struct.error when the file ends too early, ValueError when there is none.
    """
    profile = None
    if file.read_at(offset, len(_START)) == _START:
        return _read_size(file, offset, None)
    while True:
        kind, content, end = _read_box(file, offset)
        if kind == b"jp2h":
            profile = _find_profile(file, content, min(end, content + _MAX_HEADER_BYTES))
        elif kind == b"jp2c":
            return _read_size(file, content, profile)
        offset = end


def _read_size(file: BoundedFile, offset: int, profile: bytes | None) -> Codestream:
    """A.5.1: the first segment after the start marker."""
    data = file.read_at(offset, _SIZ_BYTES)
    if not data.startswith(_START):
        raise ValueError("no codestream")
    right, bottom, left, top = unpack(">4I", data[8:24])
    (components,) = unpack(">H", data[40:42])
    return Codestream(right - left, bottom - top, components, profile)


def _read_box(file: BoundedFile, offset: int) -> tuple[bytes, int, int]:
    """Its kind, where its content begins and where it ends."""
    length, kind = unpack(">I4s", file.read_at(offset, _BOX_HEADER_BYTES))
    header = _BOX_HEADER_BYTES
    if length == 0:  # to the end of the file
        length = file.size_bytes - offset
    elif length == 1:
        header = _LONG_BOX_HEADER_BYTES
        (length,) = unpack(">Q", file.read_at(offset + _BOX_HEADER_BYTES, 8))
    if length < header:
        raise ValueError("a box that ends before its header")
    return kind, offset + header, min(offset + length, file.size_bytes)


def _find_profile(file: BoundedFile, offset: int, end: int) -> bytes | None:
    while offset < end:
        kind, content, box_end = _read_box(file, offset)
        if kind == b"colr" and file.read_at(content, 1)[0] in _ANY_PROFILE:
            return file.read_at(content + 3, box_end - content - 3)
        offset = box_end
    return None
