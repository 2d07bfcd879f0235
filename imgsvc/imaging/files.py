"""A file to be looked through without reading it all."""

from __future__ import annotations

from mmap import ACCESS_READ, mmap
from pathlib import Path


def map_file(path: str) -> mmap:
    """Its bytes, to be closed; it is not empty."""
    with Path(path).open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ)
