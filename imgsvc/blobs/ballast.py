"""Space kept aside: on a full disk it is given up, so that a job can be deleted all the same.

To delete takes space too, for the log of the database, before it gives any.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SIZE_BYTES = 1 << 20


class Ballast:
    """Blocking. path: of a file that belongs to nobody else."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def is_kept(self) -> bool:
        """All of it: a death may have left less."""
        try:
            return self._path.stat().st_size >= SIZE_BYTES
        except FileNotFoundError:
            return False

    @property
    def missing_bytes(self) -> int:
        """What others are to leave for it."""
        return 0 if self.is_kept else SIZE_BYTES

    def keep(self) -> None:
        """Take the space, all of it or none. Raises OSError."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.posix_fallocate(file, 0, SIZE_BYTES)
        except OSError:
            self.give_up()
            raise
        finally:
            os.close(file)

    def give_up(self) -> None:
        """Nothing when there is none."""
        with suppress(FileNotFoundError):
            self._path.unlink()
