"""What a run without a server has put into its folder, by input name."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass

from imgsvc.store.sql import EXPORTS
from imgsvc.store.writer import Transaction


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """target: relative to the run's folder, with `/`."""

    variant: str
    format: str
    target: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Export:
    """The results of one input; `fingerprint` changes when they would come out otherwise."""

    name: str
    fingerprint: str
    files: tuple[ExportedFile, ...]


async def record_exports(tx: Transaction, exports: Sequence[Export]) -> None:
    """Remember exports; a newer one of the same input takes the older one's place."""
    await tx.run_many(
        EXPORTS["record_export"],
        [
            {
                "name": export.name,
                "fingerprint": export.fingerprint,
                "files": json.dumps([astuple(file) for file in export.files]),
            }
            for export in exports
        ],
    )


async def forget_exports(tx: Transaction, names: Collection[str]) -> None:
    await tx.run_many(EXPORTS["forget_export"], [{"name": name} for name in names])


def export_from_row(row: Sequence[str]) -> Export:
    name, fingerprint, files = row
    return Export(name, fingerprint, tuple(ExportedFile(*file) for file in json.loads(files)))
