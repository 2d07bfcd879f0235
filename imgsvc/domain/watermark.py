"""A watermark: a picture that is kept by name, to be laid over others."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptWatermark:
    """sha256: of the PNG that is kept, hexadecimal. updated_at: milliseconds since 1970."""

    name: str
    sha256: str
    width: int
    height: int
    size_bytes: int
    updated_at: int
