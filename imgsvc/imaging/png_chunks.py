"""What stands in a PNG before its pixels (PNG, third edition, 5.3)."""

from __future__ import annotations

from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

_SIGNATURE_BYTES = 8
_HEAD_BYTES = 8
_CHECKSUM_BYTES = 4
_PIXELS = b"IDAT"


class Chunk(NamedTuple):
    """start, end: of its content in the file; the end may lie beyond the file's."""

    kind: bytes
    start: int
    end: int


def chunks_before_pixels(data: mmap) -> Iterator[Chunk]:
    at = _SIGNATURE_BYTES
    while at + _HEAD_BYTES <= len(data) and (kind := data[at + 4 : at + 8]) != _PIXELS:
        start = at + _HEAD_BYTES
        end = start + int.from_bytes(data[at : at + 4], "big")
        yield Chunk(kind, start, end)
        at = end + _CHECKSUM_BYTES
