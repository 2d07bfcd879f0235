"""The records of a CSV file, by Python's reader, with what it leaves open settled."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

DELIMITERS = (",", ";", "\t")

MAX_RECORD_CHARS = 1 << 20
"""A quote that is not closed swallows what follows: no record is as long as that."""

MAX_RECORDS = 1 << 20
"""The rows that the common spreadsheet programs take."""

csv.field_size_limit(MAX_RECORD_CHARS)  # for the whole process, in which nobody else reads CSV

# As the reader cuts them: what is left of a quoted cell, which may go on in the next line, and
# any cell from the beginning of a line or a delimiter on.
_REST_OF_QUOTED = r'[^"]*(?:""[^"]*)*(?:"[^{0}]*|\Z)'
_CELL = rf'(^|{{0}})([ ]*)("{_REST_OF_QUOTED}|[^{{0}}]*)'


@dataclass(slots=True)
class Record:
    """number: the row in a spreadsheet, the first being 1; blank ones count.

    fault: why this is not a record, and nothing can follow; None for all others.
    """

    number: int
    cells: list[str]
    fault: str | None = None

    @property
    def is_blank(self) -> bool:
        return self.fault is None and not "".join(self.cells).strip()


def read_records(stream: TextIO, delimiter: str) -> Iterator[Record]:
    """Every record of a stream opened with `newline=""`; one with a fault is the last."""
    lines = _Lines(stream, delimiter)
    reader = csv.reader(lines, delimiter=delimiter)
    number = 0
    while True:
        lines.begin_record()
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield Record(number, [], "it is too long to be true; perhaps a quote is not closed")
            return
        if lines.is_over:
            yield Record(number, cells, "a quote is not closed")
            return
        if number > MAX_RECORDS:
            yield Record(number, cells, f"there are more than {MAX_RECORDS} rows")
            return
        yield Record(number, cells)


class _Lines:
    """Lines for the reader, without the spaces between a delimiter and a quote, for which it
    would not take the quote for one.

    is_over: whether it has asked for a line after the last one.
    """

    def __init__(self, stream: TextIO, delimiter: str) -> None:
        self._stream = stream
        self._spaced = re.compile(rf'(?:^|{delimiter})[ ]+"')
        self._cell = re.compile(_CELL.format(delimiter))
        self._rest_of_quoted = re.compile(_REST_OF_QUOTED.format(delimiter))
        self._record_chars = 0
        self.is_over = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MAX_RECORD_CHARS + 1)
        if not line:
            self.is_over = True
            raise StopIteration
        is_continued = self._record_chars > 0
        self._record_chars += len(line)
        if self._record_chars > MAX_RECORD_CHARS:
            raise csv.Error
        if ' "' in line and self._spaced.search(line):  # the search alone takes its time
            return self._close_up(line, is_continued)
        return line

    def begin_record(self) -> None:
        self._record_chars = 0

    def _close_up(self, line: str, is_continued: bool) -> str:
        rest = self._rest_of_quoted.match(line) if is_continued else None
        start = rest.end() if rest else 0
        return line[:start] + self._cell.sub(_without_spaces, line[start:])


def _without_spaces(cell: re.Match[str]) -> str:
    before, spaces, text = cell.groups()
    return before + text if text.startswith('"') else before + spaces + text
