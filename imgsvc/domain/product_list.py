"""A product list: a table with a product in every row, the URLs of its images in one cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Column(StrEnum):
    """What a list must have, as messages call it."""

    SERIAL = "serial number"
    NAME = "product name"
    URLS = "input image URLs"


TITLES = {
    Column.SERIAL: "S. No.",
    Column.NAME: "Product Name",
    Column.URLS: "Input Image Urls",
}
"""What the columns are called where nobody has named them."""

_SPELLINGS = {
    Column.SERIAL: frozenset({"sno", "srno", "slno", "serialno", "serialnumber", "serial"}),
    Column.NAME: frozenset({"productname"}),
    Column.URLS: frozenset({"inputimageurls", "inputimageurl", "imageurls", "imageurl"}),
}
_IGNORED = re.compile(r"[\s._]+")


@dataclass(frozen=True, slots=True)
class ProductList:
    """header: the title of every column, as sent.

    with_bom: whether text that goes back begins with a byte order mark, without which some
    spreadsheets do not take it for UTF-8.
    """

    header: tuple[str, ...]
    delimiter: str
    with_bom: bool


@dataclass(frozen=True, slots=True)
class ProductRow:
    """A row as sent. first_index: of its images, `image_count` of which follow one another."""

    first_index: int
    image_count: int
    cells: tuple[str, ...]


def find_columns(header: Sequence[str]) -> dict[Column, list[int]]:
    """Where each column stands: once in a valid list."""
    plain = [_IGNORED.sub("", title).lower() for title in header]
    return {
        column: [place for place, title in enumerate(plain) if title in spellings]
        for column, spellings in _SPELLINGS.items()
    }
