"""What each output format can hold."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

MAX_PROFILE_BYTES = 1 << 20
"""In JPEG it goes into as many segments as it needs (ICC.1:2010, B.4)."""


@dataclass(frozen=True, slots=True)
class FormatFacts:
    """max_side: the format's own limit, pixels. usual_quality: where none is asked for, None
    for a format that has no quality. lossless: can be made so on demand.
    blocks: the kinds of metadata it holds here. max_block_bytes: of each but the profile.
    """

    max_side: int
    keeps_alpha: bool
    usual_quality: int | None
    moves: bool = False
    lossless: bool = False
    blocks: Set[str] = frozenset()
    max_block_bytes: int = 1 << 20

    def holds(self, kind: str, size_bytes: int) -> bool:
        """Whether a block of metadata finds a place in it."""
        most = MAX_PROFILE_BYTES if kind == "icc" else self.max_block_bytes
        return kind in self.blocks and size_bytes <= most


FORMATS: dict[str, FormatFacts] = {
    "webp": FormatFacts(
        max_side=16_383,
        keeps_alpha=True,
        usual_quality=85,
        moves=True,
        lossless=True,
        blocks=frozenset({"exif", "xmp", "icc"}),
    ),
    "jpeg": FormatFacts(
        # libjpeg's JPEG_MAX_DIMENSION, a little below what the format's 16 bits could say
        max_side=65_500,
        keeps_alpha=False,
        usual_quality=85,
        blocks=frozenset({"exif", "xmp", "iptc", "icc"}),
        # a segment is at most 65 535 bytes long, its own heading included; profiles take many
        max_block_bytes=65_000,
    ),
    "png": FormatFacts(
        max_side=1_000_000,
        keeps_alpha=True,
        usual_quality=None,
        blocks=frozenset({"exif", "xmp", "icc"}),
    ),
    "avif": FormatFacts(
        max_side=16_384,
        keeps_alpha=True,
        usual_quality=60,
        lossless=True,
        blocks=frozenset({"exif", "xmp", "icc"}),
    ),
    "gif": FormatFacts(max_side=65_535, keeps_alpha=True, usual_quality=None, moves=True),
    "tiff": FormatFacts(
        max_side=1_000_000,
        keeps_alpha=True,
        usual_quality=None,
        # libvips writes no EXIF into TIFF, and a broken IPTC block
        blocks=frozenset({"xmp", "icc"}),
    ),
}
"""By format. What is not here cannot be written."""


def resolve_format(wanted: str, source: str, *, has_alpha: bool) -> str:
    """What `same` means for a source: its own format, else one that every program shows."""
    if wanted != "same":
        return wanted
    if source in FORMATS:
        return source
    return "png" if has_alpha else "jpeg"
