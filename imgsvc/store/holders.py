"""Who else has a database or its folder open: said when it is locked."""

from __future__ import annotations

import os
from pathlib import Path

from imgsvc.files import open_files


def find_holders(path: Path) -> list[str]:
    """`name (pid 123)` of the other processes that have the file open, if /proc tells. Blocking."""
    holders = open_files.find_holders({str(path.resolve())})
    return [who for pid, who in holders.items() if pid != os.getpid()]
