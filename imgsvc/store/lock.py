"""The lock on a data folder: one server writes to it, everybody else is told who."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgsvc.errors import StartError
from imgsvc.files.errnos import is_disk_full
from imgsvc.store.holders import find_holders


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the folder. url: None while the server does not listen yet."""

    pid: int
    url: str | None


class DataFolderLock:
    """An flock on a file, and on its folder. The kernel lets go when the process ends, however it
    ends.

    was_abandoned: once it is held, whether the last holder ended without letting go, or left
    something to be put right. died: whether it did not even say that it would. since_ns: whatever
    it made is no older, in nanoseconds since 1970 by the clock of the disk; 0 when that is not
    known. All are kept for the next holder, too, until this one has put right what was left:
    `note_recovered`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._folder: int | None = None
        self._url: str | None = None
        self._is_recovered = False
        self._leaves_work = False
        self.was_abandoned = False
        self.died = False
        self.since_ns = 0

    def acquire(self, url: str | None = None) -> None:
        """Take the lock. Raises StartError, naming the holder, when another one has it."""
        file = self._take(os.O_CREAT)
        said = self._read()
        self.was_abandoned = self._leaves_work = os.fstat(file).st_size > 0
        self.died = self.was_abandoned and not said.get("stopping")
        self._is_recovered = False
        try:
            since_ns = said.get("since_ns", 0) if self.was_abandoned else self._read_clock()
            self.since_ns = since_ns if isinstance(since_ns, int) else 0
            self.announce(url)
        except StartError:
            self.release()
            raise

    def check(self) -> None:
        """Raises StartError where `acquire` would; nothing is made or written, and nothing held."""
        try:
            if self._path.exists():
                self._take()
            else:
                self._lock_folder()
        except OSError as exc:
            raise StartError(self._refusal(exc)) from exc
        finally:
            self._let_go()

    def announce(self, url: str | None) -> None:
        """Say where this server listens; the lock must be held. Raises StartError."""
        self._url = url
        try:
            # Before it has put right what it found, nothing that it works on can end it.
            self._write(stopping=not self._is_recovered and not self.died)
        except OSError as exc:
            raise self._unusable("written", exc) from exc

    def note_recovered(self) -> None:
        """Say that what the last holder left is put right. Raises StartError."""
        self._is_recovered = True
        self._leaves_work = False
        self.since_ns = self._read_clock()
        self.announce(self._url)

    def note_stop(self) -> None:
        """Say that this server was asked to stop: whatever ends it now, it has not died."""
        with suppress(OSError):  # it overwrites what is there, and needs hardly any space
            self._write(stopping=True)

    def note_failure(self) -> None:
        """Say that what this server leaves has to be put right, however it ends."""
        self._leaves_work = True

    def release(self) -> None:
        """Let go; the file stays, because removing it could race another taker. It is empty,
        unless there is something to be put right.
        """
        if self._file is not None and not self._leaves_work:
            with suppress(OSError):  # what it says then is looked after by the next start
                os.ftruncate(self._file, 0)
        self._let_go()

    def is_held(self) -> bool:
        """Whether another process has it. Raises StartError."""
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise self._unusable("opened", exc) from exc
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def holder(self) -> Holder | None:
        """Who says to have it; None when nobody does, or it cannot be read."""
        said = self._read()
        try:
            return Holder(pid=int(said["pid"]), url=said["url"])
        except (ValueError, KeyError, TypeError):
            return None

    def _take(self, flags: int = 0) -> int:
        """Both locks; returns the file. flags: more, to open it with. Raises StartError."""
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | flags, 0o644)
        except OSError as exc:
            raise self._unusable("opened", exc) from exc
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock_folder()
        except OSError as exc:
            self._let_go()
            raise StartError(self._refusal(exc)) from exc
        return self._file

    def _lock_folder(self) -> None:
        """The folder's own lock, for whoever removes the file; a folder can have none on NFS.
        Raises BlockingIOError.
        """
        try:
            self._folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except PermissionError:  # it may be used all the same
            return
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            return

    def _let_go(self) -> None:
        """Of whatever is held."""
        for held in (self._file, self._folder):
            if held is not None:
                os.close(held)
        self._file = self._folder = None

    def _write(self, *, stopping: bool) -> None:
        if self._file is None:
            raise RuntimeError("the lock is not held")
        said = {"pid": os.getpid(), "url": self._url, "stopping": stopping}
        text = json.dumps(said | {"since_ns": self.since_ns}).encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))
        os.fsync(self._file)  # after a power cut, too, the next start has to know

    def _read_clock(self) -> int:
        """The time by which the disk dates files, in nanoseconds since 1970. Raises StartError."""
        if self._file is None:
            raise RuntimeError("the lock is not held")
        try:
            os.utime(self._file)
        except OSError as exc:
            raise self._unusable("written", exc) from exc
        return os.fstat(self._file).st_mtime_ns

    def _read(self) -> dict[str, Any]:
        """What the file says; nothing when it cannot be read."""
        try:
            said = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}

    def _unusable(self, verb: str, exc: OSError) -> StartError:
        if is_disk_full(exc):
            advice = "Free some space on its disk"
        else:
            advice = "See whether this user may write it, or its disk is mounted read-only"
        return StartError(
            f"The lock file {self._path} cannot be {verb}: {exc.strerror}. {advice}, and start "
            "again."
        )

    def _refusal(self, exc: OSError) -> str:
        folder = self._path.resolve().parent
        if not isinstance(exc, BlockingIOError):
            return f"The data folder {folder} cannot be locked: {exc.strerror}"
        holder = self.holder()
        if holder is None:
            who = ", ".join(find_holders(folder)) or "another process"
        else:
            who = f"process {holder.pid}" + (f" at {holder.url}" if holder.url else "")
        return (
            f"The data folder {folder} is in use by {who}: "
            "stop that, or give this one another folder"
        )
