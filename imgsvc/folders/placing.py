"""The folder that results of a watched one belong in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from imgsvc.files.places import Placement, Places
from imgsvc.files.state import STATE_FOLDER
from imgsvc.folders.scan import is_gone


class OutGone(Exception):
    """The output folder is not there, or takes nothing now: everything waits for it."""


class DeliveryFolder:
    """An output folder of the server, known by its mark and its disk; every method blocks.

    Results are copies. A link would let whoever changes a result change what the server keeps,
    and everything that is made from it later.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._device: int | None = None
        self._is_proven = False

    def make(self) -> None:
        """At a first start. Raises OutGone."""
        try:
            (self.root / STATE_FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise OutGone(exc.strerror or str(exc)) from exc

    def check(self) -> None:
        """Raises OutGone, also for the bare folder that an unmounted share leaves behind."""
        try:
            device = self.root.stat().st_dev
            if not (self.root / STATE_FOLDER).is_dir():
                raise OutGone(f"It has no folder {STATE_FOLDER}: mount what was there, or make it")
            if self._device not in {None, device} and len(list(self.root.iterdir())) == 1:
                raise OutGone("It is empty: what was mounted there is gone")
        except OSError as exc:
            raise OutGone(exc.strerror or str(exc)) from exc
        self._device = device

    def has_lost(self, targets: Iterable[str]) -> bool:
        """Whether none of these is there, as far as that is certain: something was put there
        before, and since then it is the same folder. Raises OutGone.
        """
        self.check()
        return self._is_proven and all(is_gone(self.root / target) for target in targets)

    def place(self, placements: Sequence[Placement], stale: Iterable[str]) -> None:
        """Put all files of one image where they belong, durably.

        stale: results of an older content of it, which go. Raises OutGone when nothing can be
        put there now, and other OSErrors for what stands in the way of this one alone.
        """
        places = Places(self.root)
        try:
            for placement in placements:
                places.copy(placement.source, placement.target)
            for name in set(stale) - {placement.target for placement in placements}:
                places.remove(name)
            places.sync()
            self._is_proven = True
        except OSError as exc:
            if places.takes_nothing(exc):
                raise OutGone(exc.strerror or str(exc)) from exc
            raise
