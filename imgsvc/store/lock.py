"""The lock on a data folder: one server writes to it, everybody else is told who."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

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

    was_abandoned: once it is held, whether the last holder ended without letting go. died:
    whether it did not even say that it would. Both are kept for the next holder, too, until this
    one has put right what was left: `note_recovered`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._folder: int | None = None
        self._url: str | None = None
        self._is_recovered = False
        self.was_abandoned = False
        self.died = False

    def acquire(self, url: str | None = None) -> None:
        """Take the lock. Raises StartError, naming the holder, when another one has it."""
        file = self._take(os.O_CREAT)
        self.was_abandoned = os.fstat(file).st_size > 0
        self.died = self.was_abandoned and not self._was_stopping()
        self._is_recovered = False
        try:
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
        self.announce(self._url)

    def note_stop(self) -> None:
        """Say that this server was asked to stop: whatever ends it now, it has not died."""
        with suppress(OSError):  # it overwrites what is there, and needs hardly any space
            self._write(stopping=True)

    def release(self) -> None:
        """Let go; the file stays, because removing it could race another taker. It is empty,
        unless it was abandoned and nothing was put right.
        """
        if self._file is not None and (self._is_recovered or not self.was_abandoned):
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
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            return Holder(pid=int(content["pid"]), url=content["url"])
        except (OSError, ValueError, KeyError, TypeError):
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
        content = {"pid": os.getpid(), "url": self._url, "stopping": stopping}
        text = json.dumps(content).encode()
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))

    def _was_stopping(self) -> bool:
        try:
            return bool(json.loads(self._path.read_text(encoding="utf-8"))["stopping"])
        except (OSError, ValueError, KeyError, TypeError):
            return False

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
