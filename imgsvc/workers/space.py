"""Whether a worker can be right when it says again and again that there is no space."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from imgsvc.workers.limits import MAX_FILE_BYTES

_TAKEN_BYTES = 256 * 1024**2
"""Tried out, since a quota is seen in no other way."""

MAX_PATIENT = 1000
"""Dispatches of an image, at most one a second, after which a large file is enough."""


def is_plenty(folder: Path, claim: int) -> bool:
    """Whether the disk has room for the largest file, and a large one can be made. Blocking.

    claim: of the image that finds none.
    """
    try:
        facts = os.statvfs(folder)
        if claim <= MAX_PATIENT and facts.f_bavail * facts.f_frsize < MAX_FILE_BYTES:
            return False
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, _TAKEN_BYTES)
    except OSError:
        return False
    return True
