"""The list of what could not be made, as a file beside the results."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from imgsvc.domain.cells import guard_cell
from imgsvc.domain.names import without_controls
from imgsvc.domain.times import rfc3339
from imgsvc.files.errnos import will_pass
from imgsvc.files.places import Places
from imgsvc.folders.scan import printable

FILE_NAME = "failures.csv"
COLUMNS = ("name", "code", "message", "time")
_HEADING = f"{','.join(COLUMNS)}\r\n".encode()

LIST_IS_TAKEN = f"A file called {FILE_NAME} stands in the out folder, and is no list of failures."


@dataclass(frozen=True, slots=True)
class ListedFailure:
    """name: of the input, relative to its folder. at_ms: milliseconds since 1970."""

    name: str
    code: str
    message: str
    at_ms: int


def write_failures(folder: Path, failures: Sequence[ListedFailure]) -> bool:
    """Put the list into the folder, whole or not at all; none is no file, and one that says the
    same already stays. Blocking.

    False when that was not done because somebody's own file stands in its place. Raises OSError.
    """
    places = Places(folder)
    if not _may_be_replaced(places):
        return not failures
    if failures:
        content = dump_failures(failures)
        if not _holds(places, content):
            places.write(content, FILE_NAME)
    else:
        places.remove(FILE_NAME)
    places.sync()
    return True


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


def _holds(places: Places, content: bytes) -> bool:
    try:
        with places.reading(FILE_NAME) as file:
            return file.read(len(content) + 1) == content
    except FileNotFoundError:
        return False


def _may_be_replaced(places: Places) -> bool:
    """Whether such a list stands there, or nothing."""
    try:
        with places.reading(FILE_NAME) as file:
            return file.read(len(_HEADING)) == _HEADING
    except FileNotFoundError:
        return True
    except OSError as exc:
        if will_pass(exc):
            raise
        return False
