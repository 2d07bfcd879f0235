"""What this installation can read and write."""

from __future__ import annotations

from imgsvc.domain.formats import Formats
from imgsvc.imaging.encoders import ENCODERS
from imgsvc.imaging.loaders import list_readable


def list_formats() -> Formats:
    return Formats(read=list_readable(), write=tuple(sorted(ENCODERS)))
