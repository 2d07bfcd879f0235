"""A folder that is watched without a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imgsvc.domain.input_names import without_surrogates
from imgsvc.folders.scan import Folder, Sighting
from imgsvc.service.local_plan import LocalInput


@dataclass(frozen=True, slots=True)
class Watched:
    """A folder. above: what the names of its files begin with; empty or with `/` at its end.

    root: the folder without links.
    """

    folder: Folder
    above: str
    root: Path
    polling: bool | None

    def name(self, sighting: Sighting) -> str:
        return self.above + sighting.name

    def describe(self, sighting: Sighting) -> LocalInput:
        name = without_surrogates(self.name(sighting))
        path = self.root / sighting.name
        return LocalInput(name, path, sighting.size_bytes, sighting.mtime_ns)

    def is_same(self, sighting: Sighting) -> bool:
        """Whether a file is still as it was seen. Blocking."""
        try:
            self.folder.open(sighting).close()
        except OSError:
            return False
        return True
