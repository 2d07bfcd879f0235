"""Single steps on disk: the blocking calls, and the threads that make them."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from imgsvc.errors import StorageFull
from imgsvc.files.errnos import TOO_MANY_FILES, is_disk_full, may_be_its_own
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def naming_full_disk() -> Iterator[None]:
    """Turn the errors that pass, "no space left" and "too many open files", into StorageFull;
    let the others by.
    """
    try:
        yield
    except OSError as exc:
        if is_disk_full(exc):
            raise StorageFull("There is not enough free disk space.") from exc
        if exc.errno in TOO_MANY_FILES:
            raise StorageFull("The server has too many files open at the moment.") from exc
        raise


class DiskThreads:
    """A bounded number of threads, so that slow disks neither block the loop nor pile up."""

    def __init__(self, size: int = 16) -> None:
        self._size = size
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="imgsvc-disk")

    async def run(self, step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """One hop to a thread. Raises StorageFull, for a disk that became read-only too, and any
        other OSError as it is.
        """
        loop = asyncio.get_running_loop()
        try:
            with naming_full_disk():
                return await loop.run_in_executor(self._pool, lambda: step(*args, **kwargs))
        except OSError as exc:
            if exc.errno == errno.EROFS:
                raise StorageFull("The server's disk is mounted read-only.") from exc
            raise

    async def spread(
        self, step: Callable[[Sequence[T]], Iterable[R]], items: Sequence[T]
    ) -> list[R]:
        """Deal `items` out to as many threads as help, and join what the steps return.

        All steps have ended when this returns or raises; half of the threads are left
        to others.
        """
        stripes = max(1, self._size // 2)
        hops = [self.run(step, items[n::stripes]) for n in range(min(stripes, len(items)))]
        results = await asyncio.gather(*hops, return_exceptions=True)
        joined: list[R] = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            joined.extend(result)
        return joined

    def close(self) -> None:
        """Take no more work; what runs may end by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def sync_paths(paths: Sequence[Path]) -> list[Path]:
    """Put files or folders on stable storage, one by one; returns those that are gone."""
    gone = []
    for path in paths:
        try:
            sync_path(path)
        except FileNotFoundError:
            gone.append(path)
    return gone


def sync_each(paths: Sequence[Path]) -> list[Path]:
    """The same, and those that have a trouble of their own are among what is returned."""
    lost = []
    for path in paths:
        try:
            sync_path(path)
        except OSError as exc:
            excuse(exc, path)
            lost.append(path)
    return lost


def sync_path(path: Path) -> None:
    """Put one file or folder on stable storage. Raises FileNotFoundError when it is gone."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_files(paths: Iterable[Path]) -> None:
    """Remove files, whether they are there or not; what has a trouble of its own stays."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            excuse(exc, path)


def excuse(error: OSError, path: Path) -> None:
    """Raises the error, unless it is this file's alone: then nothing else ends of it."""
    if not may_be_its_own(error):
        raise error
    if not isinstance(error, FileNotFoundError):  # whose job was deleted, in most cases
        log.error("file_unusable", path=str(path), why=error.strerror)


def find_free_bytes(folder: Path) -> int:
    """What this process may still write to the folder's disk; 0 where there is no place for
    another file. sys.maxsize where nobody counts, as on a tmpfs without a limit.
    """
    facts = os.statvfs(folder)
    if facts.f_files and not facts.f_favail:  # some file systems do not count files
        return 0
    return facts.f_bavail * facts.f_frsize if facts.f_blocks else sys.maxsize


def write_all(fd: int, chunks: Sequence[bytes]) -> None:
    """os.writev may write less than it is given. At most IOV_MAX, 1024, chunks."""
    written = os.writev(fd, chunks)
    if written < sum(map(len, chunks)):
        rest = memoryview(b"".join(chunks))[written:]
        while rest:
            rest = rest[os.write(fd, rest) :]
