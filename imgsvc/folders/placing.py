"""Putting finished files into a folder, each at once or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgsvc.blobs.disk import sync_path
from imgsvc.files.errnos import will_pass


class OutGone(Exception):
    """The output folder is not there, or takes nothing now: everything waits for it."""


@dataclass(frozen=True, slots=True)
class Placement:
    """source: a finished file. target: its path in the output folder, with `/`."""

    source: Path
    target: str


class OutFolder:
    """An output folder; every method blocks.

    Results are copies. A link would let whoever changes a result change what the server keeps,
    and everything that is made from it later.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._device: int | None = None

    def make(self) -> None:
        """At a first start. Raises OutGone."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise OutGone(exc.strerror or str(exc)) from exc

    def check(self) -> None:
        """Raises OutGone, also for the empty folder that an unmounted share leaves behind."""
        try:
            device = self.root.stat().st_dev
            if self._device not in {None, device} and not any(self.root.iterdir()):
                raise OutGone("It is empty: what was mounted there is gone")
        except OSError as exc:
            raise OutGone(exc.strerror or str(exc)) from exc
        self._device = device

    def place(self, placements: Sequence[Placement], stale: Iterable[str]) -> None:
        """Put all files of one image where they belong, durably.

        stale: results of an older content of it, which go. Raises OutGone when nothing can be
        put there now, and other OSErrors for what stands in the way of this one alone.
        """
        folders: set[Path] = set()
        try:
            for placement in placements:
                target = self.root / placement.target
                self._make_folders(target.parent)
                _put(placement.source, target)
                folders.add(target.parent)
            for name in set(stale) - {placement.target for placement in placements}:
                (self.root / name).unlink(missing_ok=True)
            for folder in folders:
                sync_path(folder)
        except OSError as exc:
            if will_pass(exc) or not self.root.is_dir():
                raise OutGone(exc.strerror or str(exc)) from exc
            raise

    def _make_folders(self, folder: Path) -> None:
        """Below the root, which is not made again when it is gone."""
        if folder != self.root and not folder.is_dir():
            self._make_folders(folder.parent)
            folder.mkdir(exist_ok=True)
            sync_path(folder.parent)


def _put(source: Path, target: Path) -> None:
    part = target.parent / f".{source.name}.part"
    try:
        with source.open("rb") as made, part.open("wb") as copy:
            shutil.copyfileobj(made, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
        part.replace(target)
    except OSError:
        part.unlink(missing_ok=True)
        raise
