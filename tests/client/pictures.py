"""Pictures for the tests of the client and the command line."""

from __future__ import annotations

import io

from PIL import Image


def picture(
    colour: str | tuple[int, int, int] = "teal",
    size: tuple[int, int] = (60, 40),
    format_: str = "PNG",
) -> bytes:
    """An image file of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, format_)
    return buffer.getvalue()
