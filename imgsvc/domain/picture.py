"""What the beginning of a file promises of the picture in it: a hint, never a fact."""

from __future__ import annotations

from dataclasses import dataclass

HEADER_BYTES = 64 << 10
"""How much of a file is worth looking at: a JPEG's size may stand behind an EXIF preview."""


@dataclass(frozen=True, slots=True)
class Picture:
    """width, height: pixels as they are stored, None when the first bytes do not tell.
    progressive: a JPEG that is decoded as a whole, in several passes.
    """

    format: str
    width: int | None = None
    height: int | None = None
    progressive: bool = False
