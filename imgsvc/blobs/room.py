"""Whether anything new may be written to a disk."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from imgsvc.blobs.ballast import Ballast
from imgsvc.blobs.disk import find_free_bytes


class Room(NamedTuple):
    """kept_bytes: what is to stay free, and one byte more."""

    free_bytes: int
    kept_bytes: int

    @property
    def missing_bytes(self) -> int:
        """0 where there is room."""
        return max(0, self.kept_bytes + 1 - self.free_bytes)


def find_room(folder: Path, ballast: Ballast, reserve_bytes: int) -> Room:
    """On the folder's disk, where the reserve is to stay, and what lacks of the ballast."""
    return Room(find_free_bytes(folder), reserve_bytes + ballast.missing_bytes)
