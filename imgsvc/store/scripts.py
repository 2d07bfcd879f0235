"""The steps of the schema: numbered files in migrations/."""

from __future__ import annotations

from pathlib import Path

APPLICATION_ID = 0x696D6773
"""Tells our databases from other programs'; the letters imgs."""

_FOLDER = Path(__file__).parent / "migrations"


def load_scripts() -> dict[int, str]:
    """By number. Each is a transaction of its own, which sets its `user_version`. Blocking."""
    return {
        int(path.name.partition("_")[0]): path.read_text(encoding="utf-8")
        for path in sorted(_FOLDER.glob("*.sql"))
    }
