"""Finished files to a folder: several at once, each appearing only when it is whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from imgsvc.client.connection import Connection
from imgsvc.client.errors import ClientError, LocalFileError, ServerUnreachable
from imgsvc.client.patience import pause_s

CHUNK_BYTES = 256 << 10
FILES_AT_ONCE = 8
TRIES = 4


@dataclass(frozen=True, slots=True)
class Result:
    """One finished file: which it is on the server, and where it belongs here."""

    index: int
    variant: str
    size_bytes: int
    sha256: str
    path: Path


@dataclass(slots=True)
class Downloaded:
    """How far a download is. `total`, `saved` and `skipped` count files.

    skipped: were there already, with the same bytes.
    """

    total: int
    saved: int = 0
    skipped: int = 0
    saved_bytes: int = 0


async def save_results(
    connection: Connection,
    job_id: str,
    results: Collection[Result],
    on_file: Callable[[Downloaded], None] | None = None,
    *,
    durably: bool = False,
) -> Downloaded:
    """Bring every result to its path; what stands there and differs is replaced.

    durably: the files are on stable storage when this returns.
    Raises LocalFileError, ServerUnreachable, ApiError; what was saved by then stays.
    """
    done = Downloaded(total=len(results))
    waiting = iter(results)
    workers = [
        asyncio.create_task(_save_each(connection, job_id, waiting, done, on_file, durably))
        for _ in range(min(FILES_AT_ONCE, len(results)))
    ]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return done


async def _save_each(
    connection: Connection,
    job_id: str,
    waiting: Iterator[Result],
    done: Downloaded,
    on_file: Callable[[Downloaded], None] | None,
    durably: bool,
) -> None:
    for result in waiting:
        if await asyncio.to_thread(_is_there, result):
            done.skipped += 1
        else:
            await _save(connection, job_id, result, durably)
            done.saved += 1
            done.saved_bytes += result.size_bytes
        if on_file:
            on_file(done)


async def _save(connection: Connection, job_id: str, result: Result, durably: bool) -> None:
    parts = ("jobs", job_id, "images", result.index, "outputs", result.variant)
    for attempt in range(1, TRIES + 1):
        try:
            await fetch_to_file(
                connection, parts, result.path, sha256=result.sha256, durably=durably
            )
        except ServerUnreachable:
            if attempt == TRIES:
                raise
            await asyncio.sleep(pause_s(attempt, random.random()))  # noqa: S311  (no secret)
        else:
            return


async def fetch_to_file(
    connection: Connection,
    parts: Iterable[str | int],
    path: Path,
    *,
    method: str = "GET",
    params: dict[str, str] | None = None,
    sha256: str | None = None,
    durably: bool = False,
) -> int:
    """One resource to a file, which appears whole or not at all. Returns its bytes.

    method, parts, params: as for Connection.request. sha256: hexadecimal; None is not checked.
    durably: it is on stable storage when this returns.
    Raises LocalFileError, ServerUnreachable, ApiError, and ClientError on other bytes.
    """
    async with connection.request(method, *parts, params=params) as response:
        part = _PartFile(path, durably=durably)
        try:
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                await asyncio.to_thread(part.write, chunk)
            await asyncio.to_thread(part.publish, sha256)
        except BaseException:
            await _to_the_end(asyncio.create_task(asyncio.to_thread(part.discard)))
            raise
    return part.size_bytes


async def _to_the_end(cleaning: asyncio.Task[None]) -> None:
    """Wait for it however often the waiting is cancelled."""
    while not cleaning.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({cleaning})


class _PartFile:
    """A file that is being written, beside the place where it will stand.

    Its methods run in threads, which a cancelled task leaves running: the lock makes
    `discard` wait for the one at work, and nothing is done after it.
    """

    def __init__(self, path: Path, *, durably: bool) -> None:
        self._path = path
        self._durably = durably
        self._temporary = path.with_name(f".imgsvc-{secrets.token_hex(8)}.part")
        self._digest = hashlib.sha256()
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._is_discarded = False
        self.size_bytes = 0

    def write(self, chunk: bytes) -> None:
        with self._lock, _translated(self._path):
            self._opened().write(chunk)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def publish(self, sha256: str | None) -> None:
        """Let it appear. sha256: what it must be; None is not checked."""
        if sha256 is not None and self._digest.hexdigest() != sha256:
            raise ClientError(f"{self._path.name} did not arrive as the server made it.")
        with self._lock, _translated(self._path):
            file = self._opened()
            if self._durably:
                file.flush()
                os.fsync(file.fileno())
            file.close()
            self._temporary.replace(self._path)
            self._file = None
            if self._durably:
                _sync_folder(self._path.parent)

    def _opened(self) -> IO[bytes]:
        if self._is_discarded:
            raise FileNotFoundError("it was given up")
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._temporary.open("xb")
        return self._file

    def discard(self) -> None:
        """Leave nothing behind of what was not published."""
        with self._lock:
            self._is_discarded = True
            if self._file is None:
                return
            with suppress(OSError):
                self._file.close()
            with suppress(OSError):
                self._temporary.unlink()
            self._file = None


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise LocalFileError(path, exc.strerror or "it cannot be written") from exc


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _is_there(result: Result) -> bool:
    try:
        if result.path.stat().st_size != result.size_bytes:
            return False
        with result.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == result.sha256
    except OSError:
        return False
