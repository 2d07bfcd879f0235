"""Boxes, of which HEIC, JPEG 2000 and JPEG XL files are made (ISO 14496-12, 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from imgsvc.imaging.readers.files import BoundedFile

_HEADER_BYTES = 8
_LONG_HEADER_BYTES = 16


@dataclass(frozen=True, slots=True)
class Box:
    """start, end: of its content, as offsets in the file; of a box that is cut off the end
    lies behind the file's.
    """

    kind: bytes
    start: int
    end: int


def walk(file: BoundedFile, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes from `start` to `end` (None: of the file). Whatever is no box ends the walk:
    some programs leave something behind the last one.
    """
    end = file.size_bytes if end is None else end
    while start + _HEADER_BYTES <= end:
        head = file.read_at(start, _LONG_HEADER_BYTES)
        length, header = int.from_bytes(head[:4], "big"), _HEADER_BYTES
        if length == 0:
            length = end - start
        elif length == 1:
            length, header = int.from_bytes(head[8:], "big"), _LONG_HEADER_BYTES
        if length < header:
            return
        yield Box(head[4:8], start + header, start + length)
        start += length


def read_content(file: BoundedFile, box: Box) -> bytes:
    """As much as the file has of it."""
    return file.read_at(box.start, box.end - box.start)
