"""The format of a file by its first bytes; names and declared types are never believed."""

from __future__ import annotations

import re
from pathlib import PurePath

from imgsvc.domain.extensions import IMAGE_EXTENSIONS

HEAD_BYTES = 64
"""How much of a file `sniff` wants to see."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"\xff\x0a", "jxl"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jxl"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"8BPS\x00\x01", "psd"),
    (b"8BPS\x00\x02", "psd"),
    (b"icns", "icns"),
    (b"qoif", "qoi"),
    (b"DDS \x7c\x00\x00\x00", "dds"),
)
_WEAK_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = (
    # the size of the bitmap's own header, which tells its versions apart
    (re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL), "bmp"),
    # at least one picture, and the reserved byte of the first
    (re.compile(rb"\x00\x00\x01\x00(?!\x00\x00).{5}\x00", re.DOTALL), "ico"),
    (re.compile(rb"\n[\x00\x02\x03\x05]\x01[\x01\x02\x04\x08]"), "pcx"),
    (re.compile(rb"P[1-6][ \t\r\n]+[0-9#]"), "ppm"),
)
"""Formats with a few bytes for a signature: what follows has to make sense as well."""

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)


def sniff(head: bytes) -> str | None:
    """The format that `head` begins, None for one that is not read here."""
    for signature, format_ in _SIGNATURES:
        if head.startswith(signature):
            return format_
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    return next((format_ for pattern, format_ in _WEAK_SIGNATURES if pattern.match(head)), None)


def may_be_image(name: str, head: bytes) -> bool:
    """Whether a file of a folder is taken: it has the name of an image, or begins as one does."""
    return PurePath(name).suffix.lower() in IMAGE_EXTENSIONS or sniff(head) is not None


def _sniff_brands(head: bytes) -> str | None:
    """ISO 14496-12, 4.3: a box of a major brand, a version, and compatible brands."""
    box = head[: int.from_bytes(head[:4], "big")]
    brands = {box[8:12]} | {box[at : at + 4] for at in range(16, len(box), 4)}
    if brands & _AVIF_BRANDS:
        return "avif"
    return "heic" if brands & _HEIC_BRANDS else None
