"""The chunks of a WebP (RFC 9649, 2.4)."""

from __future__ import annotations

from imgsvc.imaging.files import map_file

_START = 12
_HEAD_BYTES = 8
_MOST_CHUNKS = 1_000
_LOSSY, _LOSSLESS = b"VP8 ", b"VP8L"


def is_lossless(path: str) -> bool:
    """Of a still, by the first chunk that holds pixels; of an animation it is False. One of
    very many chunks is taken for lossless, which needs more memory.
    """
    with map_file(path) as data:
        at = _START
        for _ in range(_MOST_CHUNKS):
            if at + _HEAD_BYTES > len(data):
                return False
            kind = data[at : at + 4]
            if kind in (_LOSSY, _LOSSLESS):
                return kind == _LOSSLESS
            size = int.from_bytes(data[at + 4 : at + _HEAD_BYTES], "little")
            at += _HEAD_BYTES + size + size % 2
    return True
