"""How a database is named to SQLite."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote


def database_uri(path: Path, mode: str) -> str:
    """path: relative ones too, and of whatever bytes. mode: as in SQLite's URIs
    (https://www.sqlite.org/uri.html).
    """
    start = "file://" if path.is_absolute() else "file:"
    return f"{start}{quote(os.fsencode(path))}?mode={mode}"
