"""Moving finished outputs from a slot's folder into the job's folder, durably."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from imgsvc.blobs.disk import DiskThreads, remove_files, sync_paths
from imgsvc.blobs.layout import JobFolder, Layout


@dataclass(frozen=True, slots=True)
class Publication:
    """The outputs of one finished image.

    from_paths: variant -> where the worker left the file, and its format.
    """

    job_id: str
    image_id: str
    claim: int
    from_paths: Mapping[str, tuple[Path, str]]


class Obstacle(StrEnum):
    JOB_GONE = "job_gone"  # the job's folder was deleted: nobody wants the outputs
    OUTPUT_MISSING = "output_missing"  # the worker's file is not where it was promised


@dataclass(frozen=True, slots=True)
class Unpublished:
    """A publication that did not happen; its files are removed."""

    publication: Publication
    obstacle: Obstacle


async def publish(
    layout: Layout, threads: DiskThreads, items: Sequence[Publication]
) -> tuple[Unpublished, ...]:
    """Rename, then fsync files side by side, then each folder once.

    Everything not returned is on stable storage. Publishing an item again is harmless,
    so a group that raised can be tried again. Raises StorageFull and other OSErrors for
    the group as a whole.
    """
    moves = [_Move.plan(layout, item) for item in items]
    if not moves:
        return ()
    gone = set(await threads.run(_carry_out, moves))
    gone |= await _sync(threads, [path for move in moves for path in move.targets])
    gone |= await _sync(threads, sorted({move.folder.outputs for move in moves}))
    failed = [move for move in moves if gone.intersection((*move.targets, move.folder.outputs))]
    return tuple(await threads.run(_give_up, failed)) if failed else ()


@dataclass(frozen=True, slots=True)
class _Move:
    publication: Publication
    folder: JobFolder
    sources: tuple[Path, ...]
    targets: tuple[Path, ...]

    @classmethod
    def plan(cls, layout: Layout, item: Publication) -> _Move:
        folder = layout.job(item.job_id)
        targets = tuple(
            folder.output(item.image_id, item.claim, variant, format_)
            for variant, (_, format_) in item.from_paths.items()
        )
        return cls(item, folder, tuple(path for path, _ in item.from_paths.values()), targets)


async def _sync(threads: DiskThreads, paths: Sequence[Path]) -> set[Path]:
    return set(await threads.spread(sync_paths, paths))


def _carry_out(moves: Iterable[_Move]) -> list[Path]:
    """Rename every file; returns the targets that could not be made."""
    gone = []
    for move in moves:
        for source, target in zip(move.sources, move.targets, strict=True):
            try:
                source.replace(target)
            except FileNotFoundError:
                if not target.exists():
                    gone.append(target)
    return gone


def _give_up(moves: Iterable[_Move]) -> list[Unpublished]:
    unpublished = []
    for move in moves:
        is_there = move.folder.outputs.is_dir()
        remove_files((*move.sources, *move.targets))
        obstacle = Obstacle.OUTPUT_MISSING if is_there else Obstacle.JOB_GONE
        unpublished.append(Unpublished(move.publication, obstacle))
    return unpublished
