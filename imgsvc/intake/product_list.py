"""A product list in CSV: taken in as a file, checked as a whole, then read row by row.

Either all of it is right or nothing is taken: every wrong place is told, and how many there
can be is bounded by the images that a job may have.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from imgsvc.blobs.stage import Stage, StagedFile
from imgsvc.domain.logins import without_login
from imgsvc.domain.product_list import TITLES, Column, ProductList, find_columns
from imgsvc.errors import Fault, InvalidCsv, PayloadTooLarge, TooManyImages
from imgsvc.intake.csv_encoding import find_encoding
from imgsvc.intake.csv_records import DELIMITERS, Record, read_records
from imgsvc.intake.faults import pointer_to
from imgsvc.intake.spec import check_web_url
from imgsvc.net.guard import MAX_URL_CHARS

MAX_LIST_BYTES = 64 << 20
MAX_SERIAL_DIGITS = 18
MAX_PRODUCT_NAME_CHARS = 255
MAX_TITLE_CHARS = 255
MAX_COLUMNS = 1 << 14
"""Those that the common spreadsheet programs take."""

_SERIAL = re.compile(r"[+-]?[0-9]+")
_HINT = re.compile(r"sep=[,;\t]*", re.IGNORECASE)
_NEXT_URL = re.compile(r".https?://", re.IGNORECASE)
_URL_ENDS = re.compile(r"[,\r\n]")
_SHOWN_CHARS = 80


async def stage_list(
    chunks: AsyncIterable[bytes], stage: Stage, *, max_bytes: int = MAX_LIST_BYTES
) -> tuple[StagedFile, str]:
    """The file, to be aborted after use, and its sha256. Raises PayloadTooLarge."""
    file = stage.new_file()
    async for chunk in chunks:
        if file.size_bytes + len(chunk) > max_bytes:
            raise PayloadTooLarge(f"The product list is larger than {max_bytes} bytes.")
        await file.write(chunk)
    return file, await file.flush()


@dataclass(frozen=True, slots=True)
class ListedProduct:
    """A row as sent, and the URLs that are in it."""

    cells: tuple[str, ...]
    urls: tuple[str, ...]


class ListReader:
    """Blocking. charset: of the Content-Type; None when it had none. max_images: in all rows."""

    def __init__(self, file: Path, charset: str | None, *, max_images: int) -> None:
        self._file = file
        self._charset = charset
        self._max_images = max_images
        self._codec = "utf-8"
        self._delimiter = DELIMITERS[0]

    def check(self) -> ProductList:
        """Read all of it once. Raises InvalidCsv with every fault, TooManyImages."""
        encoding = find_encoding(self._file, self._charset)
        self._codec = encoding.codec
        self._delimiter = self._find_delimiter()
        with self._open() as stream:
            records = self._records(stream)
            head = next(records, None)
            header = _read_header(head)
            faults = self._check_rows(records, header)
        if faults:
            raise _refusal(faults)
        return ProductList(tuple(header), self._delimiter, encoding.with_bom)

    def products(self) -> Generator[ListedProduct, None, None]:
        """The rows of a list that was checked."""
        with self._open() as stream:
            records = self._records(stream)
            header = next(records).cells
            (place,) = find_columns(header)[Column.URLS]
            for record in records:
                yield ListedProduct(tuple(record.cells), split_urls(record.cells[place]))

    def _open(self) -> TextIO:
        return self._file.open(encoding=self._codec, newline="")

    def _records(self, stream: TextIO) -> Iterator[Record]:
        """From the header on, all as wide as it is where they have nothing beyond it."""
        width: int | None = None
        for record in read_records(stream, self._delimiter):
            if record.is_blank or _is_hint(record):
                continue
            cells = record.cells
            if width is None:
                width = _width_of(cells)
            if len(cells) > width and not "".join(cells[width:]).strip():
                del cells[width:]
            yield record

    def _find_delimiter(self) -> str:
        """The one by which the header has most of its columns, or else most cells."""

        def count(delimiter: str) -> tuple[int, int]:
            with self._open() as stream:
                records = read_records(stream, delimiter)
                header = next((r.cells for r in records if not (r.is_blank or _is_hint(r))), [])
            return sum(map(bool, find_columns(header).values())), len(header)

        return max(DELIMITERS, key=count)

    def _check_rows(self, records: Iterator[Record], header: Sequence[str]) -> list[Fault]:
        columns = {column: places[0] for column, places in find_columns(header).items()}
        faults: list[Fault] = []
        images = 0
        for record in records:
            images += max(1, _count_urls(record, columns[Column.URLS]))
            if images > self._max_images:
                raise TooManyImages(f"A job takes at most {self._max_images} images.")
            faults += _check_row(record, header, columns)
        if not images:
            faults.append(Fault("/rows", "There is no row after the header."))
        return faults


def _is_hint(record: Record) -> bool:
    """Whether it is the line that tells a spreadsheet program what delimits cells."""
    return record.number == 1 and bool(_HINT.fullmatch(";".join(record.cells)))


def _width_of(header: Sequence[str]) -> int:
    """Without the untitled columns that some programs write at the end."""
    return max((place for place, title in enumerate(header, start=1) if title.strip()), default=0)


def _read_header(record: Record | None) -> list[str]:
    """Raises InvalidCsv."""
    if record is None:
        raise _refusal([Fault("/rows", "The file is empty.")])
    faults = list(_check_header(record))
    if faults:
        raise _refusal(faults)
    return record.cells


def split_urls(cell: str) -> tuple[str, ...]:
    return tuple(url.strip() for url in _URL_ENDS.split(cell) if url.strip())


def _check_header(record: Record) -> Iterator[Fault]:
    if record.fault:
        yield _fault(record, None, record.fault)
        return
    titles = [cell.strip() for cell in record.cells]
    if len(titles) > MAX_COLUMNS:
        yield _fault(record, None, f"there are more than {MAX_COLUMNS} columns")
        return
    for column, places in find_columns(titles).items():
        if not places:
            yield _fault(record, TITLES[column], f"there is no column for the {column}")
        elif len(places) > 1:
            named = " and ".join(_show(titles[place]) for place in places)
            yield _fault(record, TITLES[column], f"{named} are both the {column}")
    for number, title in enumerate(titles, start=1):
        if what := _wrong_title(title):
            yield _fault(record, None, f"column {number} has {what}")


def _wrong_title(title: str) -> str | None:
    if len(title) > MAX_TITLE_CHARS:  # faults name their column
        return f"a title of more than {MAX_TITLE_CHARS} characters"
    return "a NUL byte in its title" if "\0" in title else None


def _check_row(
    record: Record, header: Sequence[str], columns: dict[Column, int]
) -> Iterator[Fault]:
    cells = record.cells
    if record.fault:
        yield _fault(record, None, record.fault)
        return
    if len(cells) != len(header):
        is_spilt = any(map(_is_url, cells[columns[Column.URLS] + 1 :]))
        hint = "; several URLs in one cell need quotes around it" if is_spilt else ""
        noun = "cell" if len(cells) == 1 else "cells"
        counts = f"{len(cells)} {noun} where the header has {len(header)}{hint}"
        yield _fault(record, None, counts)
        return
    marred = next((place for place, cell in enumerate(cells) if "\0" in cell), None)
    if marred is not None:  # one is enough: there may be millions
        yield _fault(record, header[marred], "has a NUL byte")
    for column, check in _CHECKS.items():
        place = columns[column]
        for what in check(cells[place]):
            yield _fault(record, header[place], what)


def _check_serial(cell: str) -> Iterator[str]:
    text = cell.strip()
    if not _SERIAL.fullmatch(text):
        yield f"{_show(text)} is no whole number" if text else "is empty"
    elif len(text.lstrip("+-")) > MAX_SERIAL_DIGITS:
        yield f"{_show(text)} has more than {MAX_SERIAL_DIGITS} digits"


def _check_name(cell: str) -> Iterator[str]:
    length = len(cell.strip())
    if not length:
        yield "is empty"
    elif length > MAX_PRODUCT_NAME_CHARS:
        yield f"has {length} characters, {MAX_PRODUCT_NAME_CHARS} at most are allowed"


def _check_urls(cell: str) -> Iterator[str]:
    urls = split_urls(cell)
    if not urls:
        yield "has no URL"
    for url in urls:
        if len(url) > MAX_URL_CHARS:
            yield f"{_show(without_login(url))} is longer than {MAX_URL_CHARS} characters"
            continue
        try:
            check_web_url(url)
        except ValueError as exc:
            why = str(exc).rstrip(".").replace("Must", "must", 1)
            yield f"{_show(without_login(url))} {why}{_hint_at(url)}"


def _hint_at(url: str) -> str:
    """What may have been meant by a URL that is none."""
    if _NEXT_URL.search(url):
        return "; separate URLs by commas"
    if " " in url:
        return "; write a blank within a URL as %20"
    return "" if "://" in url else "; write a comma within a URL as %2C"


_CHECKS = {Column.SERIAL: _check_serial, Column.NAME: _check_name, Column.URLS: _check_urls}


def _count_urls(record: Record, place: int) -> int:
    return len(split_urls(record.cells[place])) if place < len(record.cells) else 0


def _is_url(text: str) -> bool:
    return text.strip().lower().startswith(("http://", "https://"))


def _show(text: str) -> str:
    """Of somebody's cell as much as is needed to find it again."""
    return repr(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…")


def _fault(record: Record, title: str | None, what: str) -> Fault:
    """title: of the column, if it has one; None for the whole row."""
    row, column = f"Row {record.number}", [title.strip()] if title and title.strip() else []
    pointer = pointer_to(["rows", record.number, *column])
    return Fault(pointer, f"{', '.join([row, *column])}: {what}.")


def _refusal(faults: Sequence[Fault]) -> InvalidCsv:
    more = f" ({len(faults)} faults in all)" if len(faults) > 1 else ""
    return InvalidCsv(f"The product list is not valid. {faults[0].detail}{more}", tuple(faults))
