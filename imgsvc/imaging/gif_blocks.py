"""Is a GIF all there? libvips shows the frames it has and says nothing of the rest."""

from __future__ import annotations

from mmap import ACCESS_READ, mmap
from pathlib import Path

_HEADER_BYTES = 13
_DESCRIPTOR_BYTES = 10
_TAIL_BYTES = 64
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_HAS_COLOURS, _COLOURS_SIZE = 0x80, 0x07


def is_cut_off(path: str) -> bool:
    """Whether the file ends inside a block (GIF89a, appendix B).

    Only the trailer missing is no loss; what follows the trailer does not matter. Almost
    every file ends with its trailer, so the walk through its blocks is rarely made.
    """
    with Path(path).open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        ends_well = data[-_TAIL_BYTES:].rstrip(b"\0").endswith(bytes([_TRAILER]))
        return not ends_well and not _blocks_are_whole(data)


def _blocks_are_whole(data: mmap) -> bool:
    try:
        at = _HEADER_BYTES + _colours_bytes(data[10])
        while at < len(data) and data[at] in (_EXTENSION, _IMAGE):
            at = _end_of_block(data, at)
    except IndexError:
        return False
    return at == len(data) or (at < len(data) and data[at] == _TRAILER)


def _end_of_block(data: mmap, at: int) -> int:
    if data[at] == _EXTENSION:
        at += 2
    else:
        at += _DESCRIPTOR_BYTES + _colours_bytes(data[at + 9]) + 1
    while data[at]:
        at += data[at] + 1
    return at + 1


def _colours_bytes(flags: int) -> int:
    return 3 << ((flags & _COLOURS_SIZE) + 1) if flags & _HAS_COLOURS else 0
