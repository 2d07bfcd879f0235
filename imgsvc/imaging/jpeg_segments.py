"""What stands in a JPEG before its first scan (ITU-T T.81, B.1.1)."""

from __future__ import annotations

import re
from itertools import repeat

from imgsvc.imaging.files import map_file

_MOST_SEGMENTS = 10_000
_NO_FILLING = re.compile(rb"[^\xff]")
_SCAN, _END = 0xDA, 0xD9
_COMMENT = 0xFE
_APPLICATION = range(0xE0, 0xF0)


def count_kept_bytes(path: str) -> int:
    """Of the segments that a decoder keeps for whoever reads metadata, one after the other: of
    EXIF there may be any number. All of a file with more segments than anybody can need.
    """
    kept, at = 0, 2
    with map_file(path) as data:
        for _ in repeat(None, _MOST_SEGMENTS):
            found = _NO_FILLING.search(data, at)
            if found is None or found.start() == at or data[found.start()] in (_SCAN, _END):
                return kept
            at = found.end()
            length = int.from_bytes(data[at : at + 2], "big")
            if data[at - 1] == _COMMENT or data[at - 1] in _APPLICATION:
                kept += length
            at += max(length, 2)
        return len(data)
