"""What a watcher needs in tests: a clock that stands still, and notices that are told."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from imgsvc.folders.notices import Notices
from imgsvc.folders.scan import Folder, Sighting
from imgsvc.folders.watcher import FolderWatcher, Timing
from tests.pictures import make_jpeg

WALL_S = 2_000_000_000.0


class ToldNotices:
    """Notices of what a test tells."""

    def __init__(self, *, tells_all: bool = True) -> None:
        self.tells_all = tells_all
        self.told: set[str] = set()
        self.covered: frozenset[str] = frozenset()

    async def cover(self, folders: Collection[str]) -> Collection[str]:
        added = frozenset(folders) - self.covered
        self.covered = frozenset(folders)
        return added

    async def wait(self, timeout_s: float) -> None:
        return

    def take(self) -> set[str]:
        told, self.told = self.told, set()
        return told

    async def close(self) -> None:
        self.covered = frozenset()


class Bench:
    """A watcher of `root` whose caller takes everything that it is given."""

    def __init__(self, root: Path, notices: Notices | None = None, *, chunk: int = 100) -> None:
        self.root = root
        self.notices = notices or ToldNotices()
        self.now_s = 1000.0
        self.known: dict[str, Sighting] = {}
        self.watcher = FolderWatcher(
            Folder(root, [root / "out"]),
            self.is_known,
            lambda _folder: self.notices,
            timing=Timing(settle_s=2, patience_s=60, poll_s=5, sweep_s=300),
            chunk=chunk,
            clock=lambda: self.now_s,
            wall=lambda: WALL_S,
        )

    def is_known(self, sighting: Sighting) -> bool:
        known = self.known.get(sighting.name)
        return known is not None and known.fingerprint == sighting.fingerprint

    async def look(self, after_s: float = 0.0) -> list[str]:
        """The names of what is given out."""
        self.now_s += after_s
        batch = await self.watcher.run_once()
        self.known |= {sighting.name: sighting for sighting in batch}
        return [sighting.name for sighting in batch]

    async def settle(self, *told: str) -> list[str]:
        """What is given out of files that were told of and do not change any more."""
        assert isinstance(self.notices, ToldNotices)
        self.notices.told |= set(told)
        return await self.look() + await self.look(after_s=2)


def put(path: Path, content: bytes | None = None, *, age_s: float = 0.0) -> Path:
    """A file that was changed so long before WALL_S."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_jpeg() if content is None else content)
    os.utime(path, (WALL_S - age_s, WALL_S - age_s))
    return path
