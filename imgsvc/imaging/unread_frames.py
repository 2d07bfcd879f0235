"""Animations of which libvips reads the first frame alone, and says nothing of the others."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from imgsvc.imaging.files import map_file
from imgsvc.imaging.png_chunks import chunks_before_pixels

_ANIMATION_CONTROL = b"acTL"
_MOST_CHUNKS = 1000
_BRAND_BYTES = 64


def count_frames(path: str, format_: str) -> int:
    """How many frames the file claims to have: 1 for a still, 2 for a sequence whose length it
    takes a decoder to know.
    """
    match format_:
        case "png":
            return _count_png_frames(path)
        case "avif":
            return 2 if _is_avif_sequence(path) else 1
        case _:
            return 1


def _count_png_frames(path: str) -> int:
    """PNG, third edition, 11.3.6: the chunk stands before the first of the pixels."""
    with map_file(path) as data:
        for kind, start, _ in islice(chunks_before_pixels(data), _MOST_CHUNKS):
            if kind == _ANIMATION_CONTROL:
                return max(1, int.from_bytes(data[start : start + 4], "big"))
    return 1


def _is_avif_sequence(path: str) -> bool:
    """ISO 14496-12, 4.3: by its major brand, which says what is meant to be seen."""
    with Path(path).open("rb") as file:
        return file.read(_BRAND_BYTES)[8:12] == b"avis"
