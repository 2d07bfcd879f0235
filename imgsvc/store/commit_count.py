"""How many commits a database should have: a number beside it, written after each of them.

SQLite passes over a log that was removed, emptied or cut off, and a database that is older than its
log was, without a word. The number in the file comes from a commit that was on stable storage by
then. So the database has that many, or commits of it are gone; the file itself, which is not
synced, may say less after a power cut, and may be missing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

SELECT = "SELECT token, number FROM commits"
COUNTED_SINCE = 19
"""The schema that has them."""


class Commits(NamedTuple):
    """token: of the database, which its copies keep. number: of all its commits."""

    token: str
    number: int


def count_file(database: Path) -> Path:
    return database.with_name(f"{database.name}-commits")


def read_count(database: Path) -> Commits | None:
    """What the file says; None where it says nothing, or cannot be read. Blocking."""
    try:
        token, number = count_file(database).read_text(encoding="utf-8").split()
        return Commits(token, int(number))
    except (OSError, ValueError):
        return None


class CommitCount:
    """The file of an open database. commits: as they are when it is opened. Blocking; a trouble
    with the disk is passed over, which leaves less in the file than it could say.
    """

    def __init__(self, database: Path, commits: Commits) -> None:
        self._commits = commits
        self._file: int | None = None
        self._noted = -1
        with suppress(OSError):
            self._file = os.open(
                count_file(database), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640
            )
            owner = database.stat()
            os.fchown(self._file, owner.st_uid, owner.st_gid)  # as SQLite does, where root comes
        self.note(0)

    def note(self, since: int) -> None:
        """since: how many commits there were after it was opened, all on stable storage."""
        if self._file is None or since == self._noted:
            return
        text = f"{self._commits.token} {self._commits.number + since:020}\n".encode()
        with suppress(OSError):
            os.pwrite(self._file, text, 0)
            if self._noted < 0:  # something longer may have stood there
                os.ftruncate(self._file, len(text))
            self._noted = since

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
