"""Animations of which libvips reads the first frame alone, and says nothing of the others."""

from __future__ import annotations

from pathlib import Path

_PNG_SIGNATURE_BYTES = 8
_ANIMATION_CONTROL, _PIXELS, _END = b"acTL", b"IDAT", b"IEND"
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
    with Path(path).open("rb") as file:
        file.seek(_PNG_SIGNATURE_BYTES)
        for _ in range(_MOST_CHUNKS):
            head = file.read(8)
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind == _ANIMATION_CONTROL:
                return max(1, int.from_bytes(file.read(4), "big"))
            if kind in (_PIXELS, _END, b""):
                return 1
            file.seek(length + 4, 1)
    return 1


def _is_avif_sequence(path: str) -> bool:
    """ISO 14496-12, 4.3: by its major brand, which says what is meant to be seen."""
    with Path(path).open("rb") as file:
        return file.read(_BRAND_BYTES)[8:12] == b"avis"
