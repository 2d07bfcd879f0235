"""What stands in the boxes of a JPEG XL file (ISO 18181-2)."""

from __future__ import annotations

from dataclasses import dataclass

from imgsvc.imaging.readers.boxes import read_content, walk
from imgsvc.imaging.readers.files import BoundedFile

_BARE = b"\xff\x0a"
_PART_NUMBER_BYTES = 4
_TIFF_STARTS = (b"II*\x00", b"MM\x00*")
_WANTED = frozenset({b"jxlc", b"jxlp", b"Exif", b"xml "})


@dataclass(frozen=True, slots=True)
class Contents:
    """codestream: its parts put together. exif, xmp: None when there is none in plain text."""

    codestream: bytes
    exif: bytes | None = None
    xmp: bytes | None = None


def read_contents(file: BoundedFile) -> Contents:
    """The codestream is empty when there is none."""
    if file.read_at(0, len(_BARE)) == _BARE:
        return Contents(file.read_at(0, file.size_bytes))
    found: dict[bytes, list[bytes]] = {}
    for box in walk(file):
        if box.kind in _WANTED:
            found.setdefault(box.kind, []).append(read_content(file, box))
    parts = found.get(b"jxlc") or [part[_PART_NUMBER_BYTES:] for part in found.get(b"jxlp", [])]
    exif = next(map(_strip_exif, found.get(b"Exif", [])), None)
    return Contents(b"".join(parts), exif, next(iter(found.get(b"xml ", [])), None))


def _strip_exif(content: bytes) -> bytes:
    """ISO 23008-12, A.2.1: where the TIFF header is in what follows. Some writers forget it."""
    if content.startswith(_TIFF_STARTS):
        return content
    return content[4 + int.from_bytes(content[:4], "big") :]
