"""The folder for results, and what they are called in it."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from imgsvc.client.errors import JournalBusy, LocalFileError
from imgsvc.client.variants import Variants
from imgsvc.client.watching.entries import SavedFile
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.domain.extensions import IMAGE_EXTENSIONS
from imgsvc.domain.stable_names import StableNames
from imgsvc.files.places import Places, takes_files
from imgsvc.folders.scan import is_gone


class OutFolder:
    """Known by the journal that stands in it. variants: what is usually made.

    journal: where it does not stand in the folder, that is another one.
    """

    def __init__(self, root: Path, journal: WatchJournal, variants: Variants) -> None:
        self.root = root
        self._journal = journal
        self._names = StableNames(variants)
        self._choices: dict[str, str] = {}

    def keep(self, choices: Mapping[str, str]) -> None:
        """What the results of files are called, by the files' names."""
        for choice in choices.values():
            self._names.keep(choice)
        self._choices.update(choices)

    def recall(self, files: Iterable[SavedFile]) -> str | None:
        """What results that stand there are called; None when this recipe makes no such."""
        return self._names.recall(files)

    def choose(self, names: Iterable[str]) -> dict[str, str]:
        """What the results of these files are called; it lasts as long as this object."""
        wanted = list(names)
        new = [name for name in wanted if name not in self._choices]
        self._choices.update(zip(new, self._names.choose(new), strict=True))
        return {name: self._choices[name] for name in wanted}

    def choose_at_start(self, present: Iterable[str]) -> None:
        """What there is at a start is named together, as the images of one job are."""
        self.choose([n for n in present if PurePosixPath(n).suffix.lower() in IMAGE_EXTENSIONS])

    def path(self, name: str, variant: str, format_: str) -> str:
        """Where a result of a file belongs, for which something was chosen."""
        return self._names.path(self._choices[name], variant, format_)

    def place(
        self, name: str, outputs: Iterable[tuple[str, str]], variants: Variants
    ) -> list[SavedFile]:
        """Where results of another recipe belong: `variants` are all of its own."""
        names, choice = StableNames(variants), self._choices[name]
        return [(v, format_, names.path(choice, v, format_)) for v, format_ in outputs]

    def stands_whole(self, files: Iterable[SavedFile]) -> bool:
        """Whether none of these is gone for certain. Blocking."""
        return not any(is_gone(self.root / path) for _, _, path in files)

    def stands(self, files: Iterable[SavedFile]) -> bool:
        """Whether any of these is there, or may be. Blocking."""
        return any(not is_gone(self.root / path) for _, _, path in files)

    def is_there(self) -> bool:
        """Whether it is the same folder as before. Blocking."""
        return self._journal.is_in_place()

    def takes_files(self) -> bool:
        """Whether it is there, and results can be put into it. Blocking."""
        return self.is_there() and takes_files(self.root)

    def check(self) -> None:
        """Raise LocalFileError when it is gone. Blocking."""
        if not self.is_there():
            raise _gone(self.root, "it is gone; put it back, or make it anew")

    def sweep(self) -> None:
        """Remove what those who were killed have left in it. Blocking."""
        Places(self.root).sweep_all()

    def settle(self) -> None:
        """Go on in a folder that was made anew; there is nothing to do in the same one as before.

        Raises LocalFileError when it is gone, on another disk, or somebody else's. Blocking.
        """
        if self.is_there():
            return
        try:
            device = self.root.stat().st_dev
            is_ours = device == self._journal.device or self._journal.stands_there()
        except OSError:
            self.check()
            return
        if not is_ours:
            words = "mount it again; or start this again, to go on in what is there"
            raise _gone(self.root, f"what was mounted there is gone; {words}")
        try:
            self._journal.write_anew()
        except JournalBusy as exc:
            raise _gone(self.root, "another process is at it") from exc
        except LocalFileError as exc:
            raise _gone(self.root, f"it was made anew; {exc.reason}") from exc


def _gone(root: Path, reason: str) -> LocalFileError:
    """That waiting helps against."""
    error = LocalFileError(root, reason)
    error.__cause__ = OSError(errno.ENODEV, reason)
    return error
