"""Small files that keep a decoder busy for minutes, or fill its memory, although their pixels
and frames are within all limits, or before those can be looked at.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from mmap import mmap

from imgsvc.errors import ImageError, ImageErrorCode
from imgsvc.imaging.files import map_file
from imgsvc.imaging.png_chunks import chunks_before_pixels
from imgsvc.imaging.translation import corrupt_image

MOST_SCANS = 200
"""Of a progressive JPEG; programs write about ten. Each is a pass over the whole picture: 1000
of them, in a few hundred KB, take 10 s for 81 megapixels."""

MOST_FRAMES = 10_000
"""Of a WebP; libwebp's time to count them grows with their square and is 0.1 s here."""

MOST_TEXT_BYTES = 32 << 20
"""Of a PNG's compressed texts together, which libvips holds four times over. libpng by itself
takes a thousand of 8 MB each."""

_SCAN = b"\xff\xda\x00"
_FRAME = b"ANMF"
_EXTENDED_WEBP = b"VP8X"
_MOVES = 0x02
_BITE_BYTES = 4096
"""Of compressed text, from which 4 MB come at most."""


def check_scans(path: str) -> None:
    """Of a JPEG that comes in several. Raises ImageError with corrupt_image."""
    with map_file(path) as data:
        if _stands_more_often(_SCAN, MOST_SCANS, data):
            raise corrupt_image()


def check_before_opening(path: str, format_: str) -> None:
    """Of a file that is not empty. Raises ImageError with corrupt_image or too_many_frames."""
    if check := _CHECKS.get(format_):
        with map_file(path) as data:
            check(data)


def _check_frames(data: mmap) -> None:
    moves = data[12:16] == _EXTENDED_WEBP and len(data) > 20 and data[20] & _MOVES
    if moves and _stands_more_often(_FRAME, MOST_FRAMES, data):
        raise ImageError(
            ImageErrorCode.TOO_MANY_FRAMES, f"The image has more than {MOST_FRAMES} frames."
        )


def _check_texts(data: mmap) -> None:
    """Those before the pixels: libvips reads no others."""
    left = MOST_TEXT_BYTES
    for kind, start, end in chunks_before_pixels(data):
        if kind not in _COMPRESSED:
            continue
        left -= _inflated_bytes(_COMPRESSED[kind](data[start:end]), left + 1)
        if left < 0:
            raise corrupt_image()


_CHECKS: dict[str, Callable[[mmap], None]] = {"webp": _check_frames, "png": _check_texts}


def _stands_more_often(mark: bytes, most: int, data: mmap) -> bool:
    """Three bytes or four are hardly ever there by chance, and never so often."""
    at = -1
    for _ in range(most + 1):
        at = data.find(mark, at + 1)
        if at < 0:
            return False
    return True


def _compressed_ztxt(content: bytes) -> bytes:
    """After keyword and method (PNG, 11.3.3.3)."""
    return content.partition(b"\0")[2][1:]


def _compressed_itxt(content: bytes) -> bytes:
    """After keyword, flag, method, language and translated keyword (PNG, 11.3.3.4)."""
    rest = content.partition(b"\0")[2]
    if rest[:1] != b"\1":
        return b""
    return rest[2:].partition(b"\0")[2].partition(b"\0")[2]


_COMPRESSED: dict[bytes, Callable[[bytes], bytes]] = {
    b"zTXt": _compressed_ztxt,
    b"iTXt": _compressed_itxt,
}


def _inflated_bytes(compressed: bytes, most: int) -> int:
    """Its length once inflated, no further than about `most`; 0 for what is no such thing, and
    which nobody inflates either.
    """
    inflater, found = zlib.decompressobj(), 0
    for at in range(0, len(compressed), _BITE_BYTES):
        if found >= most:
            break
        try:
            found += len(inflater.decompress(compressed[at : at + _BITE_BYTES]))
        except zlib.error:
            return 0
    return found
