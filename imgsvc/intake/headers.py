"""The size of a picture from the first bytes of its file.

It is read on the way in, without a decoder, to tell large images from small ones. What an
image really is only a worker says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from struct import error as StructError  # noqa: N812 - its own name says nothing
from struct import unpack_from

from imgsvc.domain.image import NewImage
from imgsvc.domain.picture import Picture
from imgsvc.domain.sniffing import HEAD_BYTES, sniff
from imgsvc.recipes.cost import predict_cost_ms

_MANY = 50
"""More images than this are weighed in a thread: with 32 variants each takes its time."""

_CORE_HEADER_BYTES = 12
_BARE_JPEG_MARKERS = frozenset({0x01, *range(0xD0, 0xDA)})
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN = 0xDA
_PROGRESSIVE_FRAMES = frozenset({0xC2, 0xC6, 0xCA, 0xCE})


def read_header(head: bytes) -> Picture | None:
    """What `head`, the beginning of a file, promises; None for no format read here."""
    format_ = sniff(head[:HEAD_BYTES])
    if format_ is None:
        return None
    try:
        return _READERS.get(format_, _read_nothing)(format_, head)
    except StructError:  # it ends before its size
        return Picture(format_)


async def weigh(images: Sequence[NewImage], recipe: str) -> list[NewImage]:
    """The images with what each will cost under a canonical recipe; a failed one costs nothing."""
    if len(images) <= _MANY:
        return _weigh(images, recipe)
    return await asyncio.to_thread(_weigh, images, recipe)


def _weigh(images: Sequence[NewImage], recipe: str) -> list[NewImage]:
    predict_ms = lru_cache(predict_cost_ms)  # images by URL are all alike
    return [
        replace(image, cost_ms=predict_ms(recipe, image.picture, image.size_bytes or 0))
        if image.failure is None
        else image
        for image in images
    ]


def _read_jpeg(format_: str, head: bytes) -> Picture:
    """ITU-T T.81, B.1: segments of a marker and a length, up to the frame header."""
    at = 2
    while True:
        ff, marker = unpack_from(">BB", head, at)
        if ff != 0xFF or marker == _JPEG_SCAN:
            return Picture(format_)
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _BARE_JPEG_MARKERS:
            at += 2
        elif marker in _JPEG_FRAMES:
            height, width = unpack_from(">HH", head, at + 5)
            return Picture(format_, width, height, marker in _PROGRESSIVE_FRAMES)
        else:
            at += 2 + max(2, *unpack_from(">H", head, at + 2))


def _read_png(format_: str, head: bytes) -> Picture:
    return Picture(format_, *unpack_from(">II", head, 16))


def _read_gif(format_: str, head: bytes) -> Picture:
    return Picture(format_, *unpack_from("<HH", head, 6))


def _read_webp(format_: str, head: bytes) -> Picture:
    """RFC 9649, 2.5 to 2.7: lossy, lossless and extended files keep it in different places."""
    chunk = head[12:16]
    if chunk == b"VP8X":
        (sides,) = unpack_from("<Q", head, 24)
        return Picture(format_, (sides & 0xFFFFFF) + 1, (sides >> 24 & 0xFFFFFF) + 1)
    if chunk == b"VP8L":
        (sides,) = unpack_from("<I", head, 21)
        return Picture(format_, (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1)
    width, height = unpack_from("<HH", head, 26)
    return Picture(format_, width & 0x3FFF, height & 0x3FFF)


def _read_heif(format_: str, head: bytes) -> Picture:
    """ISO 23008-12, 6.5.3: `ispe` properties; the picture is larger than its tiles."""
    sizes: list[tuple[int, int]] = []
    at = head.find(b"ispe")
    while at >= 0:
        width, height = unpack_from(">II", head, at + 8)
        sizes.append((width, height))
        at = head.find(b"ispe", at + 4)
    largest = max(sizes, key=lambda size: size[0] * size[1], default=(None, None))
    return Picture(format_, *largest)


def _read_bmp(format_: str, head: bytes) -> Picture:
    """Lines from the top down are told by a negative height."""
    (header_bytes,) = unpack_from("<I", head, 14)
    width, height = unpack_from("<HH" if header_bytes == _CORE_HEADER_BYTES else "<ii", head, 18)
    return Picture(format_, abs(width), abs(height))


def _read_psd(format_: str, head: bytes) -> Picture:
    height, width = unpack_from(">II", head, 14)
    return Picture(format_, width, height)


def _read_dds(format_: str, head: bytes) -> Picture:
    height, width = unpack_from("<II", head, 12)
    return Picture(format_, width, height)


def _read_qoi(format_: str, head: bytes) -> Picture:
    return Picture(format_, *unpack_from(">II", head, 4))


def _read_pcx(format_: str, head: bytes) -> Picture:
    left, top, right, bottom = unpack_from("<4H", head, 4)
    return Picture(format_, max(0, right - left + 1), max(0, bottom - top + 1))


def _read_jp2(format_: str, head: bytes) -> Picture:
    """ISO 15444-1: a box with the size (I.5.3.1), or a bare codestream (A.5.1)."""
    at = head.find(b"ihdr")
    if at < 0:
        right, bottom, left, top = unpack_from(">4I", head, 8)
        return Picture(format_, max(0, right - left), max(0, bottom - top))
    height, width = unpack_from(">II", head, at + 4)
    return Picture(format_, width, height)


def _read_nothing(format_: str, _head: bytes) -> Picture:
    """It stands anywhere, or is not worth the search."""
    return Picture(format_)


_READERS: dict[str, Callable[[str, bytes], Picture]] = {
    "jpeg": _read_jpeg,
    "png": _read_png,
    "gif": _read_gif,
    "webp": _read_webp,
    "avif": _read_heif,
    "heic": _read_heif,
    "bmp": _read_bmp,
    "psd": _read_psd,
    "dds": _read_dds,
    "qoi": _read_qoi,
    "pcx": _read_pcx,
    "jp2": _read_jp2,
}
