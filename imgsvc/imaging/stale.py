"""What in a file's metadata stops being true when the picture is turned or cut."""

from __future__ import annotations

import re
from typing import Literal

from imgsvc.imaging.photoshop import PREVIEWS, read_resources, write_resources

_HEAD = b"Exif\0\0"
_ORIENTATION = 0x0112
_ENTRY_BYTES = 12


_XMP_ORIENTATION = re.compile(
    rb"""(tiff:Orientation(?:\s*=\s*["']|\s*>\s*))[2-8]""",
)


def refresh_xmp(block: bytes) -> bytes:
    """The block with orientation 1 (XMP part 2, 3.3); in the prefix that everybody writes."""
    return _XMP_ORIENTATION.sub(rb"\g<1>1", block)


def refresh_iptc(block: bytes) -> bytes:
    """Photoshop's resources without the previews; a block without any is left as it is."""
    resources = list(read_resources(block))
    if not any(resource.number in PREVIEWS for resource in resources):
        return block
    return write_resources(r for r in resources if r.number not in PREVIEWS)


def refresh_exif(block: bytes) -> bytes:
    """The block with orientation 1 and without the preview, which shows the source (TIFF 6.0,
    section 2; EXIF 2.32, 4.5.1). One that is damaged is left as it is: nobody can read it.

    The preview is cut off, not out: it stands behind a second directory, to which the first
    one's last four bytes point. Who writes the block anew, as libvips does, leaves it behind.
    """
    start = len(_HEAD) if block.startswith(_HEAD) else 0
    order = _byte_order(block[start : start + 2])
    if order is None:
        return block
    changed = bytearray(block)
    first = start + int.from_bytes(block[start + 4 : start + 8], order)
    count = int.from_bytes(block[first : first + 2], order)
    end = first + 2 + count * _ENTRY_BYTES
    if end + 4 > len(block):
        return block
    for at in range(first + 2, end, _ENTRY_BYTES):
        if int.from_bytes(block[at : at + 2], order) == _ORIENTATION:
            changed[at + 8 : at + 10] = (1).to_bytes(2, order)
    changed[end : end + 4] = bytes(4)
    return bytes(changed)


def _byte_order(mark: bytes) -> Literal["big", "little"] | None:
    if mark == b"MM":
        return "big"
    return "little" if mark == b"II" else None
