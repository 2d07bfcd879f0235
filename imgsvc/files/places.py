"""Putting finished files where they belong, each at once or not at all.

Others may write into a folder for results too. So nothing below it is reached through a link,
and what is being written has a name that nobody could foresee: whatever somebody puts in the
way, no file outside of the folder is made, changed or removed.

Whoever is killed leaves what he was writing. Nobody knows whether such a file is still being
written, perhaps by another machine, before it has not been touched for long: then it is swept.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, NamedTuple

from imgsvc.files.errnos import will_pass

BLOCK_BYTES = 1 << 20

ABANDONED_S = 86_400.0
"""What is being written, and was not touched for so long, is nobody's any more."""

_DEEPEST = 200
"""Folders within each other that are swept: a way through them has each open, and recurses."""

_PART = re.compile(r"\.imgsvc-[0-9a-f]{16}\.part")

PRIVATE = 0o600
"""The mode of what nobody else may read, whatever the user's umask leaves to others."""

_UMASK = os.umask(0o077)
os.umask(_UMASK)  # it cannot be read without being set

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Placement(NamedTuple):
    """source: a finished file. target: its path in the folder for results, with `/`."""

    source: Path
    target: str


class Places:
    """The places in a folder; every method blocks, and raises OSError.

    root: the folder, which must be there; its own path may have links. A target is a path
    below it, with `/`. Folders on the way to it are made, and a file that stands there is
    replaced. What was put into its place is durable after `sync`.

    durably: False where a lost file would only be made again, which is quicker. mode: of what is
    written, less what the user's umask takes away.
    """

    def __init__(self, root: Path, *, durably: bool = True, mode: int = 0o666) -> None:
        self.root = root
        self._durably = durably
        self._mode = mode
        self._changed: set[tuple[str, ...]] = set()

    def copy(self, source: Path, target: str) -> None:
        """Leaves `source` as it is, and independent of what is done to the copy."""
        with source.open("rb") as made, self.writing(target) as part:
            shutil.copyfileobj(made, part, BLOCK_BYTES)

    def link(self, source: Path, target: str) -> None:
        """As a second name of a durable file, or as a copy where it can have none. Either way
        whoever may read new files may read it; by its second name `source` is opened to them too,
        so it is to be a file of the caller's own.
        """
        with self._placing(target) as (folder, name):
            try:
                os.link(source, name, dst_dir_fd=folder)
                os.chmod(name, self._mode & ~_UMASK, dir_fd=folder)
            except OSError:
                with suppress(FileNotFoundError):  # it is there where only its mode was refused
                    os.unlink(name, dir_fd=folder)
                with source.open("rb") as made, self._writing(folder, name) as part:
                    shutil.copyfileobj(made, part, BLOCK_BYTES)

    def write(self, content: bytes, target: str) -> None:
        with self.writing(target) as part:
            part.write(content)

    @contextmanager
    def writing(self, target: str) -> Iterator[BinaryIO]:
        """A file that appears in its place when the block ends, unless by an exception."""
        with self._placing(target) as (folder, name), self._writing(folder, name) as part:
            yield part

    @contextmanager
    def reading(self, target: str) -> Iterator[BufferedReader]:
        """A file that stands there; a link is none."""
        *above, name = _split(target)
        with self._opened(above) as folder:
            fd = os.open(name, _OLD_FILE, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "It is no file", target)
        with os.fdopen(fd, "rb") as file:
            yield file

    def remove(self, target: str) -> None:
        """Whether it is there or not; folders stay."""
        *above, name = _split(target)
        try:
            with self._opened(above) as folder:
                os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return
        self._changed.add(tuple(above))

    def sync(self) -> None:
        while self._changed:
            above = next(iter(self._changed))
            with self._opened(above) as folder:
                os.fsync(folder)
            self._changed.discard(above)

    def sweep(self, target: str) -> None:
        """Remove what those who were killed have left in the folder of a target, as far as it is
        there and can be read. Raises nothing.
        """
        with suppress(OSError):
            *above, _ = _split(target)
            with self._opened(above) as folder:
                _sweep(folder, os.listdir(folder))  # noqa: PTH208 - no path

    def sweep_all(self) -> None:
        """The same in all folders that are not absurdly deep."""
        with suppress(OSError), self._opened(()) as root:
            for path, folders, names, folder in os.fwalk(".", dir_fd=root):
                _sweep(folder, names)
                if path.count("/") >= _DEEPEST:
                    folders.clear()

    def takes_nothing(self, error: OSError) -> bool:
        """Whether what is wrong is wrong with the folder or its disk, and not with one file."""
        return will_pass(error) or not takes_files(self.root)

    @contextmanager
    def _placing(self, target: str) -> Iterator[tuple[int, str]]:
        """A folder, and a name in it for a file that goes to its place when the block ends."""
        *above, name = _split(target)
        part = _new_part()
        with self._opened(above, make=True) as folder:
            try:
                yield folder, part
                os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                # It is still there too where both were names of one file: nothing is renamed then.
                with suppress(OSError):
                    os.unlink(part, dir_fd=folder)
        self._changed.add(tuple(above))

    @contextmanager
    def _writing(self, folder: int, name: str) -> Iterator[BinaryIO]:
        """A new file, whole when the block ends."""
        with os.fdopen(os.open(name, _NEW_FILE, self._mode, dir_fd=folder), "wb") as file:
            yield file
            if self._durably:
                file.flush()
                os.fsync(file.fileno())

    @contextmanager
    def _opened(self, above: Sequence[str], *, make: bool = False) -> Iterator[int]:
        """make: folders that are missing, but never the root."""
        folder = os.open(self.root, _FOLDER)
        try:
            for name in above:
                outer, folder = folder, _enter(folder, name, make=make)
                os.close(outer)
            yield folder
        finally:
            os.close(folder)


def takes_files(folder: Path) -> bool:
    """Whether files can be put into a folder, as far as that is up to the folder. Blocking."""
    return os.access(folder, os.W_OK | os.X_OK)


def _sweep(folder: int, names: Iterable[str]) -> None:
    parts = list(filter(_PART.fullmatch, names))
    if not parts:
        return
    with suppress(OSError):
        since_s = _tell_time_s(folder) - ABANDONED_S
        for name in parts:
            with suppress(OSError):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                # A file that was linked is as old as the other one, but for its change.
                if stat.S_ISREG(found.st_mode) and max(found.st_mtime, found.st_ctime) < since_s:
                    os.unlink(name, dir_fd=folder)


def _tell_time_s(folder: int) -> float:
    """What a new file has there: a share has a clock of its own, and this machine's may be days
    ahead of it.
    """
    name = _new_part()
    fd = os.open(name, _NEW_FILE, PRIVATE, dir_fd=folder)
    try:
        return os.fstat(fd).st_mtime
    finally:
        os.close(fd)
        os.unlink(name, dir_fd=folder)


def _new_part() -> str:
    return f".imgsvc-{secrets.token_hex(8)}.part"


def _split(target: str) -> list[str]:
    parts = target.split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        raise OSError(errno.EINVAL, "It is no path below a folder", target)
    return parts


def _enter(outer: int, name: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=outer)
            os.fsync(outer)
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=outer)
    except OSError as exc:
        if exc.errno in {errno.ENOTDIR, errno.ELOOP} and _is_link(outer, name):
            raise OSError(errno.ELOOP, "A link stands where a folder belongs", name) from exc
        raise


def _is_link(folder: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except OSError:
        return False
