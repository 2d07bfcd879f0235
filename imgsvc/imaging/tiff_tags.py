"""EXIF of a TIFF, whose tags stand among those that describe its pixels.

libvips reads the pixels and leaves these out.
"""

from __future__ import annotations

import struct
import warnings
from contextlib import suppress

from PIL import Image

_MOST_BYTES = 1 << 20
_EXIF, _GPS = 0x8769, 0x8825
_KEPT = frozenset({
    0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298, _EXIF, _GPS,
})  # fmt: skip
"""EXIF 2.32, 4.6.4: what tells of the picture and its maker, and nothing of how it is stored."""


def read_exif(path: str) -> bytes | None:
    """The tags as a block of their own; None when there are none, or they cannot be read."""
    kept = Image.Exif()
    with (
        warnings.catch_warnings(action="ignore"),
        suppress(SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error),
        Image.open(path, formats=["TIFF"]) as picture,
    ):
        found = picture.getexif()
        for tag in _KEPT & found.keys():
            value = dict(found.get_ifd(tag)) if tag in (_EXIF, _GPS) else found[tag]
            kept[tag] = value.encode("latin-1") if isinstance(value, str) else value
        if len(kept):
            block = kept.tobytes()
            return block if len(block) <= _MOST_BYTES else None
    return None
