"""What is to be done with a file that has stopped changing."""

from __future__ import annotations

import os
from enum import Enum, auto
from functools import partial

from imgsvc.domain.sniffing import HEAD_BYTES, may_be_image
from imgsvc.folders.scan import FileChanged, Folder
from imgsvc.folders.settling import Settled
from imgsvc.folders.wholeness import is_whole


class Verdict(Enum):
    TAKE = auto()
    LEAVE = auto()
    """It is no image, by its name and by its first bytes: it only stands beside them."""
    WAIT = auto()
    """Its end is missing."""
    CHANGED = auto()
    UNREADABLE = auto()


def judge(folder: Folder, settled: Settled) -> Verdict:
    """Looks into the file; blocking."""
    sighting = settled.sighting
    try:
        with folder.open(sighting) as file:
            read_at = partial(_read_at, file.fileno())
            if not may_be_image(sighting.name, read_at(0, HEAD_BYTES)):
                return Verdict.LEAVE
            whole = settled.has_waited or is_whole(read_at, sighting.size_bytes)
    except FileChanged:
        return Verdict.CHANGED
    except OSError as exc:
        folder.note_unreadable(sighting.name, exc)
        return Verdict.UNREADABLE
    folder.note_readable(sighting.name)
    return Verdict.TAKE if whole else Verdict.WAIT


def _read_at(fd: int, offset: int, length: int) -> bytes:
    return os.pread(fd, length, offset)
