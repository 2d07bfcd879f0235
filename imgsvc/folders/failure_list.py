"""The list of what could not be made, as a file beside the results."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from imgsvc.blobs.disk import sync_path
from imgsvc.domain.cells import guard_cell
from imgsvc.domain.names import without_controls
from imgsvc.domain.times import rfc3339
from imgsvc.folders.scan import printable

FILE_NAME = "failures.csv"
COLUMNS = ("name", "code", "message", "time")


@dataclass(frozen=True, slots=True)
class ListedFailure:
    """name: of the input, relative to its folder. at_ms: milliseconds since 1970."""

    name: str
    code: str
    message: str
    at_ms: int


def write_failures(folder: Path, failures: Sequence[ListedFailure]) -> None:
    """Put the list into the folder, whole or not at all; none is no file. Blocking.

    Raises OSError.
    """
    target = folder / FILE_NAME
    if not failures:
        target.unlink(missing_ok=True)
        return
    part = folder / f".{FILE_NAME}.part"
    try:
        part.write_bytes(dump_failures(failures))
        sync_path(part)
        part.replace(target)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_path(folder)


def dump_failures(failures: Sequence[ListedFailure]) -> bytes:
    """CSV after RFC 4180; no cell is a formula to a spreadsheet."""
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for failure in failures:
        name = guard_cell(without_controls(printable(failure.name)))
        message = guard_cell(failure.message)
        writer.writerow((name, failure.code, message, rfc3339(failure.at_ms)))
    return text.getvalue().encode()
