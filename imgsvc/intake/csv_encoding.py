"""In which encoding a CSV file is.

It is known, or it is not: a wrong guess among the single-byte encodings would spoil every name
without a word, so a file of one is refused unless its sender says which.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from imgsvc.errors import Fault, InvalidCsv

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # it begins as the next one does
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF32_BE, "utf-32"),
)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How files of spreadsheet programs begin, new ones and old ones."""

_CHARACTER_SETS = (
    "ascii", "big5", "cp", "euc_", "gb", "iso8859", "koi8", "mac-", "shift_jis", "tis-620",
    "utf-8", "utf-16", "utf-32",
)  # fmt: skip
"""How Python's names of those begin that are no tricks with ASCII."""

_AS_BROWSERS_READ_THEM = {"ascii": "cp1252", "iso8859-1": "cp1252"}
"""WHATWG Encoding, 4.2: what calls itself so may hold typographic quotes."""

_HEAD_BYTES = 1024
_BLOCK_BYTES = 1 << 20

_ADVICE = (
    "Save it as “CSV UTF-8”, or send it with its encoding, as in “Content-Type: text/csv; "
    "charset=windows-1252”, in a form that of the file's own part (“curl -F "
    "'file=@list.csv;type=text/csv;charset=windows-1252'”), or “imgsvc submit --charset "
    "windows-1252”."
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """codec: Python's name of it. with_bom: as in ProductList."""

    codec: str
    with_bom: bool


def find_encoding(file: Path, charset: str | None) -> Encoding:
    """By its byte order mark, by what its sender says, else UTF-16 or UTF-8; blocking.

    charset: of the Content-Type; None when it had none. The whole file can be decoded so.
    Raises InvalidCsv.
    """
    with file.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if head.startswith(_WORKBOOKS):
        raise _refusal("This is a spreadsheet program's own file. Save it as “CSV UTF-8”.")
    codec = _marked(head) or _named(charset) or _wide(head) or "utf-8"
    _check(file, codec)
    return Encoding(codec, codec != "utf-8")


def _marked(head: bytes) -> str | None:
    return next((codec for mark, codec in _MARKS if head.startswith(mark)), None)


def _named(charset: str | None) -> str | None:
    if not charset:
        return None
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        name = ""
    if not name.startswith(_CHARACTER_SETS):
        raise _refusal(f"The encoding {charset[:40]!r} is not known here. {_ADVICE}")
    return _AS_BROWSERS_READ_THEM.get(name, name)


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: of ASCII characters, which a header is full of, half is NUL."""
    pairs = len(head) // 2
    low, high = head[0::2].count(0), head[1::2].count(0)
    if high > pairs / 2 and low * 10 < pairs:
        return "utf-16-le"
    return "utf-16-be" if low > pairs / 2 and high * 10 < pairs else None


def _check(file: Path, codec: str) -> None:
    """Raises InvalidCsv, with the line where it is no such text."""
    decoder = codecs.getincrementaldecoder(codec)()
    line = 1
    try:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                line += decoder.decode(block).count("\n")
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as exc:
        is_bytewise = not codec.startswith(("utf-16", "utf-32"))
        line += exc.object[: exc.start].count(b"\n") if is_bytewise else 0
        name = codec.removesuffix("-sig").upper()
        raise _refusal(f"The file is not {name} from line {line} on. {_ADVICE}") from exc


def _refusal(message: str) -> InvalidCsv:
    return InvalidCsv(message, (Fault("", message),))
