"""Whether a file has an end: what a copy that is under way, or has stalled, does not.

A little of a file is read, as its own lengths say, and nothing of it is decoded. The answer
only decides how long a file is waited for. So a format that does not tell counts as whole.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import error as StructError  # noqa: N812 - its own name says nothing
from struct import unpack_from

from imgsvc.domain.sniffing import HEAD_BYTES, sniff
from imgsvc.folders.tiff_extent import find_tiff_extent

ReadAt = Callable[[int, int], bytes]
"""Up to as many bytes (the second) of a file from an offset (the first) on."""

TAIL_BYTES = 64 << 10
"""Cameras and phones put their own data behind a picture's end, but rarely more than this."""

_PNG_END = b"IEND\xaeB`\x82"
_QOI_END = b"\0" * 7 + b"\1"
_JPEG_SCAN, _JPEG_END = 0xDA, b"\xff\xd9"
_BARE_JPEG_MARKERS = frozenset({0x01, *range(0xD0, 0xDA)})
_MOST_SEGMENTS = 10_000
_MOST_BOXES = 10_000


def is_whole(read_at: ReadAt, size_bytes: int) -> bool:
    """False for a file that ends before its end, and for one that has not begun."""
    head = read_at(0, HEAD_BYTES)
    format_ = sniff(head)
    if format_ is None:
        # a file that was laid out in full before its bytes came begins with zeros
        return len(head) == HEAD_BYTES and any(head)
    check = _CHECKS.get(format_)
    try:
        return check is None or check(read_at, size_bytes)
    except StructError:  # it ends inside its own header
        return False


def _tail(read_at: ReadAt, size_bytes: int, start: int = 0) -> bytes:
    """The last bytes of a file, none of them before `start`."""
    at = max(start, size_bytes - TAIL_BYTES)
    return read_at(at, size_bytes - at)


def _has_jpeg_end(read_at: ReadAt, size_bytes: int) -> bool:
    """ITU-T T.81, B.1. A preview in the header has an end too: only one behind counts."""
    return _JPEG_END in _tail(read_at, size_bytes, _find_scan(read_at))


def _find_scan(read_at: ReadAt) -> int:
    """Where the first scan begins. Raises StructError when the header ends before that."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        ff, marker, length = unpack_from(">BBH", read_at(at, 4))
        if ff != 0xFF or marker == _JPEG_SCAN:
            return at
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _BARE_JPEG_MARKERS:
            at += 2
        else:
            at += 2 + max(2, length)
    return at


def _has_png_end(read_at: ReadAt, size_bytes: int) -> bool:
    return _PNG_END in _tail(read_at, size_bytes)


def _has_gif_end(read_at: ReadAt, size_bytes: int) -> bool:
    """GIF89a, 27: the trailer; some programs fill up with zeros."""
    return _tail(read_at, size_bytes).rstrip(b"\0").endswith(b";")


def _has_riff_end(read_at: ReadAt, size_bytes: int) -> bool:
    (length,) = unpack_from("<I", read_at(4, 4))
    return bool(length + 8 <= size_bytes)


def _has_boxes_end(read_at: ReadAt, size_bytes: int) -> bool:
    """ISO 14496-12, 4.2: boxes one behind the other; the last may reach to wherever the end is."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > size_bytes:
            return at == size_bytes
        head = read_at(at, 16)
        (length,) = unpack_from(">I", head)
        if length == 1:
            (length,) = unpack_from(">Q", head, 8)
        if length < 8:
            return True
        at += length
    return True  # no picture has so many, and it is not worth the reading


def _has_tiff_end(read_at: ReadAt, size_bytes: int) -> bool:
    return find_tiff_extent(read_at) <= size_bytes


def _has_bmp_end(read_at: ReadAt, size_bytes: int) -> bool:
    (length,) = unpack_from("<I", read_at(2, 4))
    return bool(length <= size_bytes)


def _has_icns_end(read_at: ReadAt, size_bytes: int) -> bool:
    (length,) = unpack_from(">I", read_at(4, 4))
    return bool(length <= size_bytes)


def _has_qoi_end(read_at: ReadAt, size_bytes: int) -> bool:
    return _tail(read_at, size_bytes).endswith(_QOI_END)


_CHECKS: dict[str, Callable[[ReadAt, int], bool]] = {
    "jpeg": _has_jpeg_end,
    "png": _has_png_end,
    "gif": _has_gif_end,
    "webp": _has_riff_end,
    "avif": _has_boxes_end,
    "heic": _has_boxes_end,
    "tiff": _has_tiff_end,
    "bmp": _has_bmp_end,
    "icns": _has_icns_end,
    "qoi": _has_qoi_end,
}
