"""The mark of a folder that results are put into."""

from __future__ import annotations

from pathlib import Path

STATE_FOLDER = ".imgsvc"
"""Where the out folder of a command remembers what is done."""


def find_out_folder(path: Path) -> Path | None:
    """The one that a folder is, or stands in; None when it does not. Blocking."""
    real = path.resolve()
    return next((each for each in (real, *real.parents) if (each / STATE_FOLDER).is_dir()), None)
