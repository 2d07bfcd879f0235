"""The format of a file by its first bytes; names and declared types are never believed."""

from __future__ import annotations

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
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def sniff(head: bytes) -> str | None:
    """The format that `head` begins, None for one that is not read here."""
    for signature, format_ in _SIGNATURES:
        if head.startswith(signature):
            return format_
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    return None


def _sniff_brands(head: bytes) -> str | None:
    """ISO 14496-12, 4.3: a box of a major brand, a version, and compatible brands."""
    box = head[: int.from_bytes(head[:4], "big")]
    brands = {box[8:12]} | {box[at : at + 4] for at in range(16, len(box), 4)}
    if brands & _AVIF_BRANDS:
        return "avif"
    return "heic" if brands & _HEIC_BRANDS else None
