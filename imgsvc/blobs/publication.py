"""Bringing finished outputs into the job's folder, durably: those just made are moved
there, those made before for another image are linked.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from imgsvc.blobs.disk import DiskThreads, excuse, remove_files, sync_each
from imgsvc.blobs.layout import JobFolder, Layout
from imgsvc.errors import StorageFull
from imgsvc.files.errnos import is_disk_full


@dataclass(frozen=True, slots=True)
class Publication:
    """The outputs of one finished image.

    from_paths: variant -> where the worker left the file, and its format.
    links: outputs of other images, which stay where they are.
    """

    job_id: str
    image_id: str
    claim: int
    from_paths: Mapping[str, tuple[Path, str]]
    links: Mapping[str, Link] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """An output that was published before; sha256, hexadecimal: what it must still be."""

    path: Path
    format: str
    sha256: str


class Obstacle(StrEnum):
    JOB_GONE = "job_gone"  # the job's folder is gone: with the job, in most cases
    OUTPUT_MISSING = "output_missing"  # the worker's file is not where it was promised, or unusable
    LINK_FAILED = "link_failed"  # the other output is gone, damaged, or cannot be linked


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A publication that did not happen; its files are removed."""

    publication: Publication
    obstacle: Obstacle


async def publish(
    layout: Layout, threads: DiskThreads, items: Sequence[Publication]
) -> tuple[Unpublished, ...]:
    """Rename and link, then fsync new files side by side, then each folder once.

    Everything not returned is on stable storage; what is returned is gone, and so is
    everything when StorageFull is raised: also where nothing may be written to the folder of
    all jobs. A trouble of one file spoils its own item; OSErrors of the disk come as they are.
    Publishing an item again is harmless.
    """
    moves = [_Move.plan(layout, item) for item in items]
    if not moves:
        return ()
    try:
        gone = set(await threads.run(_carry_out, moves))
        gone |= await _sync(threads, [path for move in moves for path in move.targets])
        gone |= await _sync(threads, sorted({move.folder.outputs for move in moves}))
        if gone:
            await threads.run(_check_may_write, layout.jobs)
    except StorageFull:
        await threads.run(_give_up, moves)
        raise
    failed = [move for move in moves if gone.intersection(move.touched)]
    return tuple(await threads.run(_give_up, failed)) if failed else ()


@dataclass(frozen=True, slots=True)
class _Move:
    """sources are moved to targets, origins are linked as twins, one by one."""

    publication: Publication
    folder: JobFolder
    sources: tuple[Path, ...]
    targets: tuple[Path, ...]
    origins: tuple[Link, ...]
    twins: tuple[Path, ...]

    @classmethod
    def plan(cls, layout: Layout, item: Publication) -> _Move:
        folder = layout.job(item.job_id)

        def place(formats: Iterable[tuple[str, str]]) -> tuple[Path, ...]:
            return tuple(folder.output(item.image_id, item.claim, *names) for names in formats)

        return cls(
            item,
            folder,
            tuple(path for path, _ in item.from_paths.values()),
            place((variant, format_) for variant, (_, format_) in item.from_paths.items()),
            tuple(item.links.values()),
            place((variant, link.format) for variant, link in item.links.items()),
        )

    @property
    def touched(self) -> tuple[Path, ...]:
        return (*self.targets, *self.twins, self.folder.outputs)


async def _sync(threads: DiskThreads, paths: Sequence[Path]) -> set[Path]:
    return set(await threads.spread(sync_each, paths))


def _check_may_write(folder: Path) -> None:
    """Raises StorageFull. A folder that is gone is made again with the next job."""
    if folder.exists() and not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        raise StorageFull("The server may not write to its data folder.")


def _carry_out(moves: Iterable[_Move]) -> list[Path]:
    """Rename and link every file; returns the paths that could not be made."""
    gone = []
    for move in moves:
        for source, target in zip(move.sources, move.targets, strict=True):
            try:
                _move(source, target)
            except OSError as exc:
                excuse(exc, target)
                gone.append(target)
        gone += [
            twin
            for origin, twin in zip(move.origins, move.twins, strict=True)
            if not _link(origin, twin)
        ]
    return gone


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except FileNotFoundError:
        if not target.exists():  # else it was moved before
            raise


def _link(origin: Link, twin: Path) -> bool:
    """False when the origin is gone or damaged, can have no further name, or the file system
    knows no links.
    """
    try:
        with origin.path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != origin.sha256:
                return False
        twin.hardlink_to(origin.path)
    except FileExistsError:
        return True
    except OSError as exc:
        if is_disk_full(exc):
            raise
        return False
    return True


def _give_up(moves: Iterable[_Move]) -> list[Unpublished]:
    unpublished = []
    for move in moves:
        obstacle = _find_obstacle(move)
        remove_files((*move.sources, *move.targets, *move.twins))
        unpublished.append(Unpublished(move.publication, obstacle))
    return unpublished


def _find_obstacle(move: _Move) -> Obstacle:
    try:
        if not move.folder.path.is_dir():
            return Obstacle.JOB_GONE
        if move.twins and all(target.exists() for target in move.targets):
            return Obstacle.LINK_FAILED
    except OSError as exc:
        excuse(exc, move.folder.path)
    return Obstacle.OUTPUT_MISSING
