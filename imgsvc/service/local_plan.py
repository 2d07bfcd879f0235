"""What a run without a server has to do: everything but what is unchanged and still there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imgsvc import __version__
from imgsvc.domain.image import quote_path
from imgsvc.domain.names import ResultNames
from imgsvc.recipes.model import Recipe, canonical_json
from imgsvc.recipes.watermarks import pin_watermarks
from imgsvc.store.exports import Export, ExportedFile


@dataclass(frozen=True, slots=True)
class LocalInput:
    """name: relative, with `/`; it decides where the results belong."""

    name: str
    path: Path
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class LocalWatermark:
    """A file that the recipe lays over pictures. sha256: of the file as it is, hexadecimal."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class LocalFailure:
    """code: of the image, or NOT_SAVED."""

    code: str
    message: str


@dataclass
class RunSummary:
    """skipped: inputs whose results were there already."""

    total: int = 0
    skipped: int = 0
    completed: int = 0
    failed: int = 0
    output_bytes: int = 0
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    """(input name, code, message) of every image that failed, in the end in the inputs' order."""


class LocalPlan:
    """`recipe` over inputs, with results in `out_dir`.

    marks: the files of all watermarks that the recipe names.
    """

    def __init__(self, out_dir: Path, recipe: Recipe, marks: Mapping[str, LocalWatermark]) -> None:
        self._out_dir = out_dir
        digests = {name: mark.sha256 for name, mark in marks.items()}
        self._recipe_json = canonical_json(pin_watermarks(recipe, digests))
        self._variants = [(variant.name, variant.format) for variant in recipe.variants]

    def name_results(self, inputs: Sequence[LocalInput]) -> ResultNames:
        return ResultNames([(n, item.name) for n, item in enumerate(inputs)], self._variants)

    def find_todo(
        self, inputs: Sequence[LocalInput], names: ResultNames, exports: Mapping[str, Export]
    ) -> list[tuple[int, LocalInput]]:
        """Inputs, with their positions, that are new or changed, or whose results are gone.
        Blocking.

        exports: what was put into the folder, by the input's key.
        """
        return [
            (index, item)
            for index, item in enumerate(inputs)
            if not self._is_done(index, item, names, exports.get(self.key(item)))
        ]

    @property
    def identity(self) -> str:
        """Changes with the recipe and the program."""
        return hashlib.sha256(f"{self._recipe_json}\n{__version__}".encode()).hexdigest()

    def stands(self, item: LocalInput, export: Export | None) -> bool:
        """Whether what was made of an input, as it is now, is all there, whatever it is called.
        Blocking.
        """
        if export is None or export.fingerprint != self.fingerprint(item):
            return False
        return all(self._has_size(file) for file in export.files)

    def key(self, item: LocalInput) -> str:
        """Under which the input's results are remembered: names need not be unique."""
        return quote_path(item.path)

    def fingerprint(self, item: LocalInput) -> str:
        """Changes with the input's place, content (by size and time), recipe and program."""
        parts = (item.path, item.size_bytes, item.mtime_ns, self._recipe_json, __version__)
        return hashlib.sha256(
            "\n".join(map(str, parts)).encode(errors="surrogateescape")
        ).hexdigest()

    def _is_done(
        self, index: int, item: LocalInput, names: ResultNames, export: Export | None
    ) -> bool:
        if export is None or export.fingerprint != self.fingerprint(item):
            return False
        return all(self._is_there(names, index, file) for file in export.files)

    def _is_there(self, names: ResultNames, index: int, file: ExportedFile) -> bool:
        is_named_so = names.path(index, file.variant, file.format) == file.target
        return is_named_so and self._has_size(file)

    def _has_size(self, file: ExportedFile) -> bool:
        try:
            return (self._out_dir / file.target).stat().st_size == file.size_bytes
        except OSError:
            return False
