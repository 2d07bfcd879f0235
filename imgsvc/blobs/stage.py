"""Receiving files into a job's folder: write, then sync, and only then name them in a row."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import threading
from collections import deque
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from imgsvc.blobs.backlog import Backlog
from imgsvc.blobs.disk import (
    DiskThreads,
    remove_files,
    sync_path,
    sync_paths,
    write_all,
)
from imgsvc.blobs.layout import JobFolder, Layout
from imgsvc.domain.ids import new_id
from imgsvc.domain.picture import HEADER_BYTES
from imgsvc.errors import NotFound
from imgsvc.files.errnos import is_disk_full
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

BLOCK_BYTES = 1 << 20
"""What a file being received collects before it is written, with all of the chunk that makes it so
much, while blocks before it may be on their way to the disk; a smaller file costs one thread hop.
"""

EARLY_SYNC_BYTES = 1 << 20
"""Files from this size on go to stable storage while others arrive, or the end of a large
request would be long.
"""

EARLY_SYNCS = 4
"""At a time, of one request: most threads are for others."""

MAX_CHUNKS = 512
"""The same for what comes in tiny pieces; fewer than `os.writev` takes at once."""

_JOB_GONE = "This job was deleted."


class StagedFile:
    """One file being received. Give it bytes in order, then `finish` or `abort` it.

    head: its first bytes, HEADER_BYTES at most; empty before some of them are on disk.
    """

    def __init__(self, stage: Stage, image_id: str, path: Path, *, replaces: bool) -> None:
        self.image_id = image_id
        self.path = path
        self.size_bytes = 0
        self.head = b""
        self._stage = stage
        self._chunks: list[bytes] = []
        self._collected_bytes = 0
        self._is_on_disk = False
        self._writes: deque[asyncio.Task[None]] = deque()
        self._file = _HashedFile(path, replaces=replaces)

    async def write(self, chunk: bytes) -> None:
        """Raises StorageFull, maybe for an earlier chunk; NotFound when the job was deleted
        meanwhile.
        """
        self._chunks.append(chunk)
        self.size_bytes += len(chunk)
        self._collected_bytes += len(chunk)
        if self._collected_bytes >= BLOCK_BYTES or len(self._chunks) >= MAX_CHUNKS:
            await self._flush(last=False)

    async def finish(self) -> tuple[int, str]:
        """Close the file: its size in bytes and its sha256 in hexadecimal.

        It is on stable storage only after `Stage.sync`. Raises as `write` does.
        """
        await self._flush(last=True)
        await self._wait_for_writes()
        self._stage.note_finished(self)
        return self.size_bytes, self._file.hexdigest()

    async def flush(self) -> str:
        """Let all that came so far stand in the file, to be read there; its sha256.

        For a file that is used and then aborted. Raises as `write` does.
        """
        await self._flush(last=False)
        await self._wait_for_writes()
        return self._file.hexdigest()

    async def abort(self) -> None:
        """Remove what was written; a file never written to costs nothing."""
        self._chunks = []
        await self.settle()
        await self._stage.abort_file(self, is_on_disk=self._is_on_disk)

    async def settle(self) -> None:
        """Wait for the writes that are on their way, however they end."""
        await asyncio.gather(*self._writes, return_exceptions=True)

    def remove(self) -> None:
        """Blocking: close and remove the file, after a write that may still run."""
        self._file.remove()

    async def _flush(self, *, last: bool) -> None:
        chunks, self._chunks = self._chunks, []
        size_bytes, self._collected_bytes = self._collected_bytes, 0
        if not self._is_on_disk:
            self.head = _first_bytes(chunks, HEADER_BYTES)
        self._is_on_disk = True
        while self._writes and (self._writes[0].done() or self._stage.backlog.is_full()):
            await self._wait_for_oldest()
        before = self._writes[-1] if self._writes else None
        write = asyncio.create_task(self._write(chunks, before, last=last), name="stage-write")
        self._writes.append(write)
        self._stage.backlog.follow(write, size_bytes)

    async def _write(
        self, chunks: Sequence[bytes], before: asyncio.Task[None] | None, *, last: bool
    ) -> None:
        if before is not None:
            await before
        await self._stage.write_file(self._file, chunks, last=last)

    async def _wait_for_writes(self) -> None:
        while self._writes:
            await self._wait_for_oldest()

    async def _wait_for_oldest(self) -> None:
        """One that failed stays, and is told again by whatever comes after."""
        await self._writes[0]
        self._writes.popleft()


class _HashedFile:
    """The blocking side of a file.

    The lock makes `remove` wait for a write whose caller was cancelled, and keeps a write
    that was still queued from bringing the file back.

    replaces: whether one that is there already makes room.
    """

    def __init__(self, path: Path, *, replaces: bool) -> None:
        self._path = path
        self._replaces = replaces
        self._lock = threading.Lock()
        self._hash = hashlib.sha256()
        self._file: FileIO | None = None  # closes itself when a stage is forgotten
        self._removed = False

    def append(self, chunks: Sequence[bytes], *, last: bool) -> None:
        with self._lock:
            if self._removed:
                return
            if self._file is None:
                if self._replaces:
                    self._path.unlink(missing_ok=True)
                self._file = FileIO(self._path, "xb", opener=_open_private)
            for chunk in chunks:
                self._hash.update(chunk)
            write_all(self._file.fileno(), chunks)
            if last:
                self._close()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def remove(self) -> None:
        with self._lock:
            self._removed = True
            self._close()
            remove_files([self._path])

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


class Stage:
    """The files that one request brings to one job.

    Either `sync` is awaited before a row names any of them, or `discard` takes all of
    them away again. Folders are made with the first file, or by `sync`.

    makes_folders: False for a job that has its folders, unless it was deleted.
    """

    def __init__(
        self,
        layout: Layout,
        job_id: str,
        threads: DiskThreads,
        backlog: Backlog,
        *,
        makes_folders: bool = True,
    ) -> None:
        self.job_id = job_id
        self.backlog = backlog
        self._layout = layout
        self._folder: JobFolder = layout.job(job_id)
        self._threads = threads
        self._folder_lock = threading.Lock()
        self._has_folders = not makes_folders
        self._made_job_folder = False
        self._synced_once = False
        self._discarded = False
        self._open: dict[str, StagedFile] = {}
        self._finished: list[Path] = []
        self._synced_count = 0
        self._early: dict[Path, asyncio.Task[list[Path]]] = {}
        self._early_turns = asyncio.Semaphore(EARLY_SYNCS)

    def new_file(self) -> StagedFile:
        """A file under a new image id; nothing touches the disk before its bytes do."""
        return self._receive(new_id(), replaces=False)

    def file_for(self, image_id: str) -> StagedFile:
        """The file of an image that has a row and no bytes: what an earlier try has left is
        replaced. One at a time.
        """
        return self._receive(image_id, replaces=True)

    async def sync(self) -> None:
        """Put every file finished since the last sync, and its folders, on stable storage.

        Raises StorageFull; NotFound when the job was deleted meanwhile.
        """
        count = len(self._finished)
        files = self._finished[self._synced_count : count]
        if self._synced_once and not files:
            return
        if not self._has_folders:
            await self._threads.run(self._make_folders)
        late = [path for path in files if path not in self._early]
        gone = await self._threads.spread(sync_paths, late)
        for path in files:
            if path in self._early:
                gone += await self._early.pop(path)
        gone += await self._threads.run(self._sync_folders)
        if gone:
            raise NotFound(_JOB_GONE)
        self._synced_count = max(self._synced_count, count)
        self._synced_once = True

    async def discard(self) -> None:
        """Leave nothing behind: this stage's files, and the job's folder if it made it.

        May be called at any time, more than once, and while a cancelled write still runs.
        """
        self._discarded = True
        for file in list(self._open.values()):
            await file.settle()
        await asyncio.gather(*self._early.values(), return_exceptions=True)
        await self._threads.run(self._remove_everything)

    async def write_file(self, file: _HashedFile, chunks: Sequence[bytes], *, last: bool) -> None:
        def step() -> None:
            self._make_folders()
            file.append(chunks, last=last)

        try:
            await self.backlog.run(step)
        except FileNotFoundError as exc:
            raise NotFound(_JOB_GONE) from exc

    def note_finished(self, file: StagedFile) -> None:
        if self._open.pop(file.image_id, None) is not None:
            self._finished.append(file.path)
            if file.size_bytes >= EARLY_SYNC_BYTES:
                work = self._sync_early(file.path)
                self._early[file.path] = asyncio.create_task(work, name="stage-sync")

    async def _sync_early(self, path: Path) -> list[Path]:
        async with self._early_turns:
            return await self._threads.run(sync_paths, [path])

    async def abort_file(self, file: StagedFile, *, is_on_disk: bool) -> None:
        if file.image_id in self._open and is_on_disk:
            await self._threads.run(file.remove)
        self._open.pop(file.image_id, None)

    def _receive(self, image_id: str, *, replaces: bool) -> StagedFile:
        if self._discarded:
            raise RuntimeError("the stage was discarded")
        file = StagedFile(self, image_id, self._folder.input(image_id), replaces=replaces)
        self._open[image_id] = file
        return file

    def _make_folders(self) -> None:
        with self._folder_lock:
            if self._has_folders or self._discarded:
                return
            try:
                self._made_job_folder |= _make_folder(self._folder.path)
            except FileNotFoundError:
                self._made_job_folder |= self._make_all_folders()
            _make_folder(self._folder.inputs)
            _make_folder(self._folder.outputs)
            self._has_folders = True

    def _make_all_folders(self) -> bool:
        """Where somebody has removed the folder of all jobs; not that of all data, which may have
        been moved.
        """
        _make_folder(self._layout.jobs)
        log.error("folder_of_jobs_was_removed", folder=str(self._layout.jobs))
        sync_path(self._layout.data_dir)
        return _make_folder(self._folder.path)

    def _sync_folders(self) -> list[Path]:
        """Innermost first. The outer ones change only when they are made."""
        folders = [self._folder.inputs]
        if not self._synced_once:
            folders += [self._folder.path, self._layout.jobs]
        return sync_paths(folders)

    def _remove_everything(self) -> None:
        for file in list(self._open.values()):
            file.remove()
        with self._folder_lock:
            made_job_folder = self._made_job_folder
        if made_job_folder:
            remove_folder(self._folder.path, self._layout)
        else:
            remove_files(self._finished)


def remove_folder(path: Path, layout: Layout) -> None:
    """Blocking: remove a job's folder, at once for everybody else, then file by file.

    It is moved away first, so that nothing can be added to it while it is emptied.
    """
    aside = layout.new_deleted_folder()
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    except OSError as exc:
        if not is_disk_full(exc):
            raise
        aside = path  # no room for another name; nothing can be added either
    shutil.rmtree(aside, ignore_errors=True)
    sync_path(layout.jobs)


def _first_bytes(chunks: Sequence[bytes], count: int) -> bytes:
    head = b""
    for chunk in chunks:
        head += chunk[: count - len(head)]
        if len(head) == count:
            break
    return head


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o640)


def _make_folder(path: Path) -> bool:
    """Whether it had to be made."""
    try:
        path.mkdir(mode=0o750)
    except FileExistsError:
        return False
    return True
