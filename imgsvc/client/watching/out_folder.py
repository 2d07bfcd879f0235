"""The folder for results, and what they are called in it."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from imgsvc.client.errors import LocalFileError
from imgsvc.client.variants import Variants
from imgsvc.client.watching.journal import SavedFile
from imgsvc.domain.extensions import IMAGE_EXTENSIONS
from imgsvc.domain.stable_names import StableNames


class OutFolder:
    """variants: what is usually made.

    mark: a file that is there as long as the folder is the right one.
    """

    def __init__(self, root: Path, mark: Path, variants: Variants) -> None:
        self.root = root
        self._mark = mark
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

    def stands(self, files: Iterable[SavedFile]) -> bool:
        """Whether any of these is there. Blocking."""
        return any((self.root / path).exists() for _, _, path in files)

    def is_gone(self) -> bool:
        """Blocking."""
        return not self._mark.exists()

    def check(self) -> None:
        """Raise LocalFileError when it is gone. Blocking."""
        if self.is_gone():
            raise LocalFileError(self.root, "it is gone") from OSError(errno.ENODEV, "gone")
