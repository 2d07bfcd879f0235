"""Finished files to a folder: several at once, each appearing only when it is whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import aiohttp

from imgsvc.client.connection import NO_IMGSVC, Connection
from imgsvc.client.errors import (
    ApiError,
    ClientError,
    LocalFileError,
    ResultsLost,
    ResultsUnsaved,
    ServerUnreachable,
    translating,
)
from imgsvc.client.patience import pause_s
from imgsvc.files.places import Places

CHUNK_BYTES = 256 << 10
FILES_AT_ONCE = 8
TRIES = 4

_ZIP_MARK = b"PK"
"""What every ZIP file begins with."""


@dataclass(frozen=True, slots=True)
class Result:
    """One finished file: which it is on the server, and where it belongs here.

    target: a path in the folder for results, with `/`.
    """

    index: int
    variant: str
    size_bytes: int
    sha256: str
    target: str


@dataclass(slots=True)
class Downloaded:
    """How far a download is. `total`, `saved` and `skipped` count files.

    skipped: were there already, with the same bytes. lost: targets of those that the server does
    not have any more as it made them. unsaved: of those that cannot stand where they belong, with
    the reason.
    """

    total: int
    saved: int = 0
    skipped: int = 0
    saved_bytes: int = 0
    lost: list[str] = field(default_factory=list)
    unsaved: dict[str, str] = field(default_factory=dict)

    @property
    def dealt_with(self) -> int:
        return self.saved + self.skipped + len(self.lost) + len(self.unsaved)

    @property
    def is_whole(self) -> bool:
        return not self.lost and not self.unsaved


async def save_results(
    connection: Connection,
    job_id: str,
    places: Places,
    results: Collection[Result],
    on_file: Callable[[Downloaded], None] | None = None,
    *,
    all_or_error: bool = False,
) -> Downloaded:
    """Bring every result to its place; what stands there and differs is replaced.

    all_or_error: do not go on without one that is lost, or has no place.
    Raises LocalFileError where the folder takes nothing, ServerUnreachable, ApiError; what was
    saved by then stays. In the end ResultsUnsaved or ResultsLost, when any is.
    """
    done = Downloaded(total=len(results))
    waiting = iter(results)
    workers = [
        asyncio.create_task(
            _save_each(connection, job_id, places, waiting, done, on_file, all_or_error)
        )
        for _ in range(min(FILES_AT_ONCE, len(results)))
    ]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    if done.unsaved:
        raise ResultsUnsaved(places.root, done)
    if done.lost:
        raise ResultsLost(done)
    return done


async def _save_each(
    connection: Connection,
    job_id: str,
    places: Places,
    waiting: Iterator[Result],
    done: Downloaded,
    on_file: Callable[[Downloaded], None] | None,
    all_or_error: bool,
) -> None:
    for result in waiting:
        if await asyncio.to_thread(_is_there, places, result):
            done.skipped += 1
        else:
            try:
                await _save(connection, job_id, places, result)
            except LocalFileError as exc:
                if all_or_error or await asyncio.to_thread(_takes_nothing, places, exc):
                    raise
                done.unsaved[result.target] = exc.reason
            except ClientError as exc:
                if all_or_error or not _is_lost(exc):
                    raise
                await connection.job("GET", job_id)  # where all is gone, that is told
                done.lost.append(result.target)
            else:
                done.saved += 1
                done.saved_bytes += result.size_bytes
        if on_file:
            on_file(done)


def _takes_nothing(places: Places, error: LocalFileError) -> bool:
    """Whether the trouble is that of the whole folder. Blocking."""
    cause = error.__cause__
    return not isinstance(cause, OSError) or places.takes_nothing(cause)


def _is_lost(error: ClientError) -> bool:
    return isinstance(error, _OtherBytes) or (
        isinstance(error, ApiError) and error.code == "not_found"
    )


async def _save(connection: Connection, job_id: str, places: Places, result: Result) -> None:
    parts = ("jobs", job_id, "images", result.index, "outputs", result.variant)
    for attempt in range(1, TRIES + 1):
        try:
            await fetch_to_file(connection, parts, places, result.target, sha256=result.sha256)
        except (ServerUnreachable, _OtherBytes):  # which may come of the way alone
            if attempt == TRIES:
                raise
            await asyncio.sleep(pause_s(attempt, random.random()))  # noqa: S311  (no secret)
        else:
            return


class Fetched(NamedTuple):
    """headers: of the answer."""

    size_bytes: int
    headers: Mapping[str, str]


async def fetch_to_file(
    connection: Connection,
    parts: Iterable[str | int],
    places: Places,
    target: str,
    *,
    method: str = "GET",
    params: dict[str, str] | None = None,
    sha256: str | None = None,
) -> Fetched:
    """One resource to a file, which appears whole or not at all.

    method, parts, params: as for Connection.request. sha256: hexadecimal; None is for a
    ZIP file, which is made while it is sent. It is known by its first bytes, since proxies may
    call it something else, or answer by a page of their own.
    Raises LocalFileError, ServerUnreachable, ApiError, and ClientError on other bytes.
    """
    async with connection.request(method, *parts, params=params) as response:
        mark = await _read_mark(response.content) if sha256 is None else b""
        if sha256 is None and mark != _ZIP_MARK:
            raise ServerUnreachable(connection.server, NO_IMGSVC)
        part = _PartFile(places, target)
        try:
            if mark:
                await asyncio.to_thread(part.write, mark)
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                await asyncio.to_thread(part.write, chunk)
            await asyncio.to_thread(part.publish, sha256)
        except BaseException:
            await _to_the_end(asyncio.create_task(asyncio.to_thread(part.discard)))
            raise
    return Fetched(part.size_bytes, response.headers)


async def _read_mark(content: aiohttp.StreamReader) -> bytes:
    try:
        return await content.readexactly(len(_ZIP_MARK))
    except asyncio.IncompleteReadError as exc:
        return exc.partial


async def _to_the_end(cleaning: asyncio.Task[None]) -> None:
    """Wait for it however often the waiting is cancelled."""
    while not cleaning.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({cleaning})


class _PartFile:
    """A file that is being written, and appears in its place when it is whole.

    Its methods run in threads, which a cancelled task leaves running: the lock makes
    `discard` wait for the one at work, and nothing is done after it.
    """

    def __init__(self, places: Places, target: str) -> None:
        self._places = places
        self._target = target
        self._digest = hashlib.sha256()
        self._placing = ExitStack()
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._is_discarded = False
        self.size_bytes = 0

    def write(self, chunk: bytes) -> None:
        with self._lock, self._translated():
            self._opened().write(chunk)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def publish(self, sha256: str | None) -> None:
        """Let it appear. sha256: what it must be; None is not checked."""
        if sha256 is not None and self._digest.hexdigest() != sha256:
            raise _OtherBytes(f"{self._target} did not arrive as the server made it.")
        with self._lock, self._translated():
            self._opened()  # nothing may have been written to it
            self._placing.close()

    def _opened(self) -> BinaryIO:
        if self._is_discarded:
            raise FileNotFoundError("it was given up")
        if self._file is None:
            self._file = self._placing.enter_context(self._places.writing(self._target))
        return self._file

    def discard(self) -> None:
        """Leave nothing behind of what was not published."""
        with self._lock, suppress(_GivenUp, OSError):
            self._is_discarded = True
            with self._placing:
                raise _GivenUp

    def _translated(self) -> AbstractContextManager[None]:
        return translating(self._places.root / self._target)


class _OtherBytes(ClientError):
    """A file is not what the server once made."""


class _GivenUp(Exception):
    """A file is not wanted any more."""


def check_protected(paths: Iterable[Path], protected: Collection[Path]) -> None:
    """Blocking. Raises ClientError for a path that is one of those."""
    kept = set(map(os.path.realpath, protected))
    for path in paths:
        if os.path.realpath(path) in kept:  # Path.resolve refuses links in a circle
            raise ClientError(f"A result would replace {path}, one of the images that were sent.")


def make_folder(root: Path) -> None:
    """Blocking. Raises LocalFileError."""
    with translating(root):
        try:
            root.mkdir(parents=True, exist_ok=True)
        except FileExistsError as exc:
            raise LocalFileError(root, "it is no folder") from exc


def make_places(
    root: Path, targets: Iterable[str], *, durably: bool = False, mode: int = 0o666
) -> Places:
    """For these files, in a folder which is made. What was left beside them by those who were
    killed is removed. Blocking.

    durably, mode: as for Places; by default of files that may be fetched again. Raises
    LocalFileError.
    """
    make_folder(root)
    places = Places(root, durably=durably, mode=mode)
    for target in {target.rpartition("/")[0]: target for target in targets}.values():
        places.sweep(target)
    return places


def _is_there(places: Places, result: Result) -> bool:
    try:
        with places.reading(result.target) as file:
            if os.fstat(file.fileno()).st_size != result.size_bytes:
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == result.sha256
    except OSError:
        return False
