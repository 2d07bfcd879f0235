"""What became of a backup."""

from __future__ import annotations

from typing import NamedTuple


class SavedBackup(NamedTuple):
    """missing_files: how many the database knows that were not there to be saved."""

    size_bytes: int
    missing_files: int
