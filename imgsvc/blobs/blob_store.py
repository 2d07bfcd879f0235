"""The files of all jobs. Knows nothing of rows: who names a file, and when, is said above."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from imgsvc.blobs import publication
from imgsvc.blobs.backlog import Backlog
from imgsvc.blobs.ballast import Ballast
from imgsvc.blobs.disk import (
    DiskThreads,
    excuse,
    find_free_bytes,
    remove_files,
    sync_path,
    sync_paths,
)
from imgsvc.blobs.layout import JobFolder, Layout, is_watermark, output_name
from imgsvc.blobs.links import LinkFolder
from imgsvc.blobs.publication import Publication, Unpublished
from imgsvc.blobs.room import Room, find_room
from imgsvc.blobs.stage import Stage, remove_folder
from imgsvc.domain.ids import is_id
from imgsvc.errors import StorageFull
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)


class BlobStore:
    """Every method that touches the disk does so in a thread.

    "No space left" is always StorageFull; other OSErrors come as they are. Ids that are
    not spelled as ids raise ValueError.
    """

    def __init__(self, data_dir: Path) -> None:
        self._layout = Layout(data_dir)
        self._ballast = Ballast(self._layout.ballast)
        self._threads = DiskThreads()
        self._backlog = Backlog()
        self._may_remove = asyncio.Event()
        self._may_remove.set()
        self._keepers = 0
        self._postponed: list[Path] = []
        self._had_room = True

    async def prepare(self) -> None:
        """Make the folders, where `check_layout` has found nothing else in their place, and finish
        deletes that a crash cut short.
        """
        await self._threads.run(self._prepare)

    def close(self) -> None:
        """Call it last: nothing works afterwards."""
        self._backlog.close()
        self._threads.close()

    def stage(self, job_id: str) -> Stage:
        """Begin to receive files for a job, new or existing."""
        return Stage(self._layout, job_id, self._threads, self._backlog)

    def stage_late(self, job_id: str) -> Stage:
        """Begin to receive files for images that a job has; one that was deleted meanwhile is
        not made again: NotFound.
        """
        return Stage(self._layout, job_id, self._threads, self._backlog, makes_folders=False)

    def input_path(self, job_id: str, image_id: str) -> Path:
        return self._layout.job(job_id).input(image_id)

    def output_path(
        self, job_id: str, image_id: str, claim: int, variant: str, format_: str
    ) -> Path:
        return self._layout.job(job_id).output(image_id, claim, variant, format_)

    def output_name(self, image_id: str, claim: int, variant: str, format_: str) -> str:
        """The last part of `output_path`, as `sweep_outputs` wants it."""
        return output_name(image_id, claim, variant, format_)

    def watermark_path(self, sha256: str) -> Path:
        return self._layout.watermark(sha256)

    async def publish(self, items: Sequence[Publication]) -> tuple[Unpublished, ...]:
        """Outputs to where they stay, durably; returns what could not be published."""
        return await publication.publish(self._layout, self._threads, items)

    async def discard(self, paths: Iterable[Path]) -> None:
        """Remove files, whether they are there or not; later, if nothing is to be removed now."""
        if self._keepers:
            self._postponed += paths
            return
        await self._threads.run(remove_files, list(paths))

    async def delete_job(self, job_id: str) -> None:
        """Remove everything of a job; a job without a folder is fine."""
        folder = self._layout.job(job_id)
        await self._may_remove.wait()
        await self._threads.run(remove_folder, folder.path, self._layout)

    @asynccontextmanager
    async def removing_nothing(self) -> AsyncIterator[None]:
        """Whoever wants to remove a file that a row may name waits until this is over."""
        self._keepers += 1
        self._may_remove.clear()
        try:
            yield
        finally:
            self._keepers -= 1
            if not self._keepers:
                self._may_remove.set()
                postponed, self._postponed = self._postponed, []
                await self.discard(postponed)

    async def make_backup_folder(self) -> Path:
        """A new folder on the same disk."""
        folder = self._layout.new_backup_folder()
        await self._threads.run(folder.mkdir, mode=0o750)
        return folder

    def link_folder(self, folder: Path) -> LinkFolder:
        """A data folder below `folder` to be filled with links to the files here."""
        return LinkFolder(self._layout, Layout(folder))

    async def remove_backup_folder(self, folder: Path) -> None:
        await self._threads.run(shutil.rmtree, folder, ignore_errors=True)

    async def job_folders(self) -> list[str]:
        """Ids of the jobs that have a folder, in no order."""
        return await self._threads.run(self._job_folders)

    async def jobs_changed_since(self, since_ns: int) -> list[str]:
        """Ids of the jobs whose folders had a file added or taken away since then, in no order.

        since_ns: nanoseconds since 1970, by the clock of the disk.
        """
        return await self._threads.run(self._jobs_changed_since, since_ns)

    async def sweep_outputs(self, known_names: Mapping[str, Collection[str]]) -> int:
        """Remove the outputs that no row names, by the names of those of each job; returns how
        many.

        Only for jobs of which nothing is being published: a published file has no row
        until the commit after it.
        """
        known = {self._layout.job(job_id).outputs: names for job_id, names in known_names.items()}
        return await self._threads.run(_keep_known, known)

    async def sweep_inputs(self, known_ids: Mapping[str, Collection[str]]) -> int:
        """The same for inputs: only for jobs to which nothing is being appended."""
        known = {self._layout.job(job_id).inputs: ids for job_id, ids in known_ids.items()}
        return await self._threads.run(_keep_known, known)

    async def keep_watermark(self, source: Path, sha256: str) -> None:
        """Move a file to where it stays, durably, under what it is; it may be there already."""
        await self._threads.run(_move, source, self._layout.watermark(sha256))

    async def remove_watermarks(self, sha256s: Iterable[str]) -> None:
        """Remove files, whether they are there or not."""
        paths = [self._layout.watermark(sha256) for sha256 in sha256s]
        await self._may_remove.wait()
        await self._threads.run(remove_files, paths)

    async def sweep_watermarks(self, known: Collection[str]) -> int:
        """Remove the files of all watermarks but these; returns how many."""
        names = {self._layout.watermark(sha256).name for sha256 in known}
        return await self._threads.run(_keep_only, self._layout.watermarks, names, is_watermark)

    async def free_bytes(self) -> int:
        """What may still be written to the disk, by whoever."""
        return await self._threads.run(find_free_bytes, self._layout.data_dir)

    async def has_room(self, reserve_bytes: int) -> bool:
        """Whether more may be written than leaves the reserve, and the space kept aside; told
        when that changes.
        """
        room = await self._threads.run(self._find_room, reserve_bytes)
        has_room = not room.missing_bytes
        if has_room != self._had_room:
            self._had_room = has_room
            facts = {"what": "submits", "disk_of": str(self._layout.data_dir), **room._asdict()}
            if has_room:
                log.info("storage_has_room", **facts)
            else:
                log.warning("storage_full", **facts, advice=_MAKE_ROOM)
        return has_room

    async def check_room(self, reserve_bytes: int) -> None:
        """Raises StorageFull where `has_room` says no."""
        if not await self.has_room(reserve_bytes):
            below = "Free disk space is below the reserve."
            raise StorageFull(below if reserve_bytes else "The disk is full.")

    async def keep_ballast(self, reserve_bytes: int) -> None:
        """Take the space kept aside, if it is not taken and that leaves the reserve."""
        if await self.has_room(reserve_bytes):
            await self._threads.run(self._keep_ballast)

    async def give_up_ballast(self) -> None:
        """Let somebody have it who is about to make room."""
        await self._threads.run(self._ballast.give_up)

    def _keep_ballast(self) -> None:
        if not self._ballast.is_kept:
            self._ballast.keep()

    def _find_room(self, reserve_bytes: int) -> Room:
        return find_room(self._layout.data_dir, self._ballast, reserve_bytes)

    def _prepare(self) -> None:
        for folder in (self._layout.jobs, self._layout.slots, self._layout.watermarks):
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        for leftover in self._layout.leftovers():
            shutil.rmtree(leftover, ignore_errors=True)
        sync_paths([self._layout.data_dir, self._layout.data_dir.parent])

    def _job_folders(self) -> list[str]:
        return [path.name for path in self._layout.jobs.iterdir() if is_id(path.name)]

    def _jobs_changed_since(self, since_ns: int) -> list[str]:
        return [
            job_id
            for job_id in self._job_folders()
            if _changed_since(self._layout.job(job_id), since_ns)
        ]


_MAKE_ROOM = "nothing is accepted: free some space, delete jobs, or lower storage.reserve_bytes"


def _move(source: Path, target: Path) -> None:
    sync_path(source)
    source.replace(target)
    sync_path(target.parent)


def _changed_since(job: JobFolder, since_ns: int) -> bool:
    for folder in (job.inputs, job.outputs):
        try:
            if folder.stat().st_mtime_ns >= since_ns:
                return True
        except OSError as exc:
            excuse(exc, folder)
    return False


def _keep_known(known: Mapping[Path, Collection[str]]) -> int:
    return sum(_keep_only(folder, names) for folder, names in known.items())


def _keep_only(
    folder: Path, known_names: Collection[str], is_ours: Callable[[str], bool] = lambda _: True
) -> int:
    """Folders, as some storage systems put them everywhere, and links are none of ours.

    is_ours: by its name, where others may have put something before there was a server.
    """
    try:
        with os.scandir(folder) as entries:
            unknown = [
                folder / entry.name
                for entry in entries
                if entry.name not in known_names
                and is_ours(entry.name)
                and entry.is_file(follow_symlinks=False)
            ]
    except OSError as exc:
        excuse(exc, folder)
        return 0
    remove_files(unknown)
    return len(unknown)
