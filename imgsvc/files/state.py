"""The mark of a folder that results are put into."""

from __future__ import annotations

import os
from pathlib import Path

STATE_FOLDER = ".imgsvc"
"""Where the out folder of a command remembers what is done."""


def is_out_folder(folder: str | Path) -> bool:
    """Whether a folder carries the mark. What lies below it may be anybody's. Blocking."""
    return os.path.isdir(os.path.join(folder, STATE_FOLDER))  # noqa: PTH112, PTH118
