"""JPEG 2000 by its boxes: where the codestream is, what it says of its size, which colours.

ISO 15444-1, annexes A (markers) and I (boxes).
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack

from imgsvc.imaging.readers.boxes import Box, read_content, walk
from imgsvc.imaging.readers.files import BoundedFile

_START = b"\xff\x4f\xff\x51"
_SIZ_BYTES = 42
_PROFILE_METHODS = frozenset({2, 3})
"""Of a colour box that holds an ICC profile."""


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
    if file.read_at(offset, len(_START)) == _START:
        return _read_size(file, offset, None)
    profile = None
    for box in walk(file, offset):
        if box.kind == b"jp2h":
            profile = _find_profile(file, box)
        elif box.kind == b"jp2c":
            return _read_size(file, box.start, profile)
    raise ValueError("no codestream")


def _read_size(file: BoundedFile, offset: int, profile: bytes | None) -> Codestream:
    """A.5.1: the first segment after the start marker."""
    data = file.read_at(offset, _SIZ_BYTES)
    if not data.startswith(_START):
        raise ValueError("no codestream")
    right, bottom, left, top = unpack(">4I", data[8:24])
    (components,) = unpack(">H", data[40:42])
    return Codestream(right - left, bottom - top, components, profile)


def _find_profile(file: BoundedFile, header: Box) -> bytes | None:
    """I.5.3.3: a method, two bytes of no use here, and the profile."""
    for box in walk(file, header.start, min(header.end, file.size_bytes)):
        if box.kind == b"colr":
            content = read_content(file, box)
            if content[:1] and content[0] in _PROFILE_METHODS:
                return content[3:]
    return None
