"""Photoshop's image resources, in which JPEG carries IPTC (Adobe Photoshop File Formats
Specification, Image Resource Blocks).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

HEAD = b"Photoshop 3.0\0"
IPTC = 0x0404
PREVIEWS = frozenset({0x0409, 0x040C})

_SIGNATURE = b"8BIM"


class Resource(NamedTuple):
    number: int
    data: bytes


def read_resources(block: bytes) -> Iterator[Resource]:
    """What can be read of a block from the beginning; a damaged one ends early."""
    at = len(HEAD) if block.startswith(HEAD) else 0
    while block[at : at + 4] == _SIGNATURE and at + 12 <= len(block):
        number = int.from_bytes(block[at + 4 : at + 6], "big")
        name_bytes = block[at + 6] + 1
        at += 6 + name_bytes + name_bytes % 2
        size = int.from_bytes(block[at : at + 4], "big")
        yield Resource(number, block[at + 4 : at + 4 + size])
        at += 4 + size + size % 2


def write_resources(resources: Iterable[Resource]) -> bytes:
    """Without names, which nobody uses."""
    return HEAD + b"".join(
        _SIGNATURE
        + number.to_bytes(2, "big")
        + b"\0\0"
        + len(data).to_bytes(4, "big")
        + data
        + b"\0" * (len(data) % 2)
        for number, data in resources
    )
