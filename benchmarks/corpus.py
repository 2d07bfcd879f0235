"""A folder of photos as a batch: as many as wanted, no two with the same bytes."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

_PNG_HEADER_BYTES = 33
"""Signature and IHDR, which always come first and are always this long."""


def make_batch(photos: Sequence[Path], count: int, folder: Path) -> list[Path]:
    """`count` files in `folder` (emptied before): the photos in turn, each with its own number.

    The number stands in a comment inside the file, so that neither the service nor the file
    system can give one answer for two inputs. Raises ValueError when there is no photo.
    """
    if not photos:
        raise ValueError("the corpus has no JPEG or PNG files")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    batch = []
    for number, photo in zip(range(count), cycle(photos), strict=False):
        path = folder / f"{number:05d}{photo.suffix.lower()}"
        path.write_bytes(_numbered(photo.read_bytes(), number))
        batch.append(path)
    return batch


def find_photos(folder: Path) -> list[Path]:
    """Every JPEG and PNG under `folder`, by name."""
    suffixes = {".jpg", ".jpeg", ".png"}
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)


def _numbered(content: bytes, number: int) -> bytes:
    text = b"number %d" % number
    if content.startswith(b"\xff\xd8"):
        comment = b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text
        return content[:2] + comment + content[2:]
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        chunk = b"tEXt" + b"Comment\0" + text
        length = (len(chunk) - 4).to_bytes(4, "big")
        checksum = zlib.crc32(chunk).to_bytes(4, "big")
        head, tail = content[:_PNG_HEADER_BYTES], content[_PNG_HEADER_BYTES:]
        return head + length + chunk + checksum + tail
    raise ValueError("the corpus has a file that is neither JPEG nor PNG inside")
