"""What a client called a file, from a Content-Disposition header or a field of its own."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_PARAMETER = re.compile(
    r"""; \s* ([^\s=;"]+) \s* = \s*
        (?: "( (?: \\. | [^"\\] )* )" (?= \s* (?:;|$) ) | ([^;]*) )""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED_PAIR = re.compile(r'\\(["\\])')
_BROWSER_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n", "%0d": "\r", "%0a": "\n"}
_BROWSER_ESCAPE = re.compile("|".join(_BROWSER_ESCAPES))
_WHOLLY_ENCODED = re.compile(r"(?:[A-Za-z0-9_.~-]|%[0-9A-Fa-f]{2})+")
_CONTINUED = re.compile(r"filename\*(\d{1,2})(\*?)")


def parse_header(value: bytes) -> tuple[str, dict[str, str]]:
    r"""`form-data; name="a"` becomes ("form-data", {"name": "a"}), both keys lower case.

    Bytes are UTF-8, or Latin-1 where they are not (RFC 7578, 5.1). In quotes `\"` and
    `\\` are escapes; any other backslash stands for itself, as in a Windows path.
    The first of equal parameters counts.
    """
    text = _decode(value)
    kind, _, _ = text.partition(";")
    parameters: dict[str, str] = {}
    for match in _PARAMETER.finditer(text, len(kind)):
        key, quoted, bare = match.groups()
        value_ = _QUOTED_PAIR.sub(r"\1", quoted) if quoted is not None else _unquote(bare)
        parameters.setdefault(key.lower(), value_)
    return kind.strip().lower(), parameters


def pick_filename(parameters: dict[str, str]) -> str | None:
    """The file name as sent, None when the part has none and so is a plain field.

    `filename*` (RFC 5987, RFC 2231 with continuations) goes before `filename` where it
    can be decoded. In the latter browsers write a quote as %22 and leave other percent
    signs alone; aiohttp's client percent-encodes the whole name, which is recognised by
    what such a name is made of.
    """
    extended = parameters.get("filename*")
    if extended is not None and (name := _decode_extended(extended)) is not None:
        return name
    if "filename" in parameters:
        return _decode_filename(parameters["filename"])
    return _join_continued(parameters)


def _decode_filename(value: str) -> str:
    if "%" in value and _WHOLLY_ENCODED.fullmatch(value):
        try:
            return unquote_to_bytes(value).decode()
        except UnicodeDecodeError:
            return value
    return _BROWSER_ESCAPE.sub(lambda m: _BROWSER_ESCAPES[m[0]], value)


def _decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _unquote(bare: str) -> str:
    r"""Also what is left of a quoted string that ends in a backslash: `"a\"`."""
    text = bare.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    return text


def _decode_extended(value: str) -> str | None:
    charset, _, rest = value.partition("'")
    _, quote, encoded = rest.partition("'")
    if not quote or charset.lower() not in {"utf-8", "iso-8859-1", "us-ascii"}:
        return None
    try:
        return unquote_to_bytes(encoded).decode(charset)
    except UnicodeDecodeError:
        return None


def _join_continued(parameters: dict[str, str]) -> str | None:
    pieces: dict[int, tuple[str, bool]] = {}
    for key, value in parameters.items():
        if match := _CONTINUED.fullmatch(key):
            pieces[int(match[1])] = (value, bool(match[2]))
    if 0 not in pieces:
        return None
    encoded = b""
    for number in range(len(pieces)):
        if number not in pieces:
            break
        value, is_encoded = pieces[number]
        if is_encoded and number == 0:
            value = value.rpartition("'")[2]
        encoded += unquote_to_bytes(value) if is_encoded else value.encode()
    return _decode(encoded)
