"""Whether the files of a database in use still stand where they were opened.

SQLite goes on writing into files that were moved, replaced or removed under it. What is committed
there would be gone with the process, and nobody would have been told.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path
from struct import pack

from imgsvc.files.errnos import will_pass
from imgsvc.store.breakdown import NEXT_START
from imgsvc.store.commit_count import CommitCount, Commits
from imgsvc.store.examination import unreadable
from imgsvc.store.wal import OpenLog, beside

_SHARED_LOCKS_AT, _SHARED_LOCKS = 0x40000002, 510
"""Where readers lock a database (SQLite's os.h): who takes all of it is the last to have it."""

_PUT_BACK = "Put it back, or restore the last backup, and start it again: docs/backup.md says how."
_START_AGAIN = "What that log held is saved into the database: start it again."


class DatabaseFiles:
    """Of a database that is open, and has a log. Raises StartError. Blocking; `close` it after all
    connections.

    commits: those it has.
    """

    def __init__(self, path: Path, commits: Commits) -> None:
        self._path = path
        self._log = beside(path, "-wal")
        try:
            self._identity = _identify(path)
            self._log_identity = _identify(self._log)
            self._file, self._log_file = _open_all(path, self._log)
        except OSError as exc:
            raise unreadable(f"The database {path}", exc) from exc
        self._open_log = OpenLog(self._log_file)
        self._count = CommitCount(path, commits)

    def look(self, commits: int) -> tuple[str, str] | None:
        """Count the commits since it was opened, so that a start knows of those that a fault
        costs, too; then what has happened to one of the files, and what to do.
        """
        self._count.note(commits)
        return self.find_fault() or self._find_damage()

    def find_fault(self) -> tuple[str, str] | None:
        """Which of the files is not in its place, and what to do; None when both are."""
        known = (
            (self._path, self._identity, _PUT_BACK),
            (self._log, self._log_identity, _START_AGAIN),
        )
        for path, identity, advice in known:
            try:
                found = _identify(path)
            except OSError:  # nobody can tell: the next look will
                continue
            if found != identity:
                return f"{path} was moved, replaced or removed while it was in use", advice
        return None

    def _find_damage(self) -> tuple[str, str] | None:
        """SQLite goes on behind what somebody has cut off its log or written over it, and nothing
        before it, and so nothing of it, would be found again.
        """
        try:
            is_spoiled = self._open_log.is_spoiled()
        except OSError:  # as above; what was committed must not be committed again for it
            return None
        if not is_spoiled:
            return None
        return f"{self._log} was cut off or overwritten while it was in use", NEXT_START

    def log_bytes(self) -> int:
        """0 where it is not there, or nobody can tell."""
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def spare_others(self) -> None:
        """Before the last connection is closed, which removes the log by its name: if another
        one stands there, somebody else works with it, so this is not to be the last.
        """
        try:
            is_strange = _identify(self._log) not in {None, self._log_identity}
        except OSError:  # nobody can tell
            is_strange = True
        if is_strange:
            lock = pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, _SHARED_LOCKS_AT, _SHARED_LOCKS, 0)
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, lock)

    def close(self) -> None:
        """Closing any descriptor of it lets go of SQLite's locks."""
        os.close(self._file)
        os.close(self._log_file)
        self._count.close()


def _open_all(*paths: Path) -> list[int]:
    """All or none, to be read. Raises OSError."""
    files: list[int] = []
    with ExitStack() as opened:
        for path in paths:
            files.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            opened.callback(os.close, files[-1])
        opened.pop_all()
    return files


def _identify(path: Path) -> tuple[int, int] | None:
    """None when nothing can be reached there. Raises OSError when nobody can tell now."""
    try:
        facts = path.stat()
    except OSError as exc:
        if will_pass(exc):
            raise
        return None
    return facts.st_dev, facts.st_ino
