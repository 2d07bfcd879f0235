"""Cursors of pages: opaque to clients, plain values inside."""

from __future__ import annotations

import base64
import binascii
import json

from imgsvc.domain.ids import is_id
from imgsvc.errors import Fault, InvalidRequest

_MAX_INDEX = 2**53


def encode_cursor(value: str | int) -> str:
    """A cursor that continues after `value`: an id, or an image's index."""
    text = json.dumps([value], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_id_cursor(cursor: str) -> str:
    """The id to continue after. Raises InvalidRequest when this is none of our cursors."""
    value = _decode(cursor)
    if not isinstance(value, str) or not is_id(value):
        raise _refusal()
    return value


def decode_index_cursor(cursor: str) -> int:
    """The index to continue after. Raises InvalidRequest when this is none of our cursors."""
    value = _decode(cursor)
    # bool is an int to Python, and `[true]` is no cursor of ours.
    if type(value) is not int or not 0 <= value <= _MAX_INDEX:
        raise _refusal()
    return value


def _decode(cursor: str) -> object:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        content = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as exc:
        raise _refusal() from exc
    if not isinstance(content, list) or len(content) != 1:
        raise _refusal()
    return content[0]


def _refusal() -> InvalidRequest:
    return InvalidRequest(
        "The cursor is not valid",
        (Fault("/cursor", "not a cursor given by this list: start again without one"),),
    )
