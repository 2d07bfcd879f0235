"""Strict JSON (RFC 8259): what another parser could read otherwise is refused."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from imgsvc.errors import MalformedRequest, PayloadTooLarge

MAX_DEPTH = 64
MAX_VALUES = 250_000
"""More than any honest document has: ten thousand images need some fifty thousand."""
MAX_KEYS = 1000
"""In one object. Each that is unknown is a fault, and to find them takes its time."""


def parse_document(text: bytes) -> Any:
    """The document in UTF-8, a byte order mark let pass.

    Raises MalformedRequest for anything else: broken syntax or UTF-8, NaN and infinite
    numbers, a key twice in one object or with half a character, more than 64 levels. Raises
    PayloadTooLarge for too many values, or keys in one object.
    """
    check_values(count_values(text))
    try:
        document = json.loads(
            text.decode("utf-8-sig"),
            object_pairs_hook=_make_object,
            parse_constant=_refuse_constant,
            parse_float=_parse_float,
        )
    except UnicodeDecodeError as exc:
        raise MalformedRequest("The JSON document is not UTF-8.") from exc
    except json.JSONDecodeError as exc:
        raise MalformedRequest(f"The JSON document is broken: {exc.msg}.") from exc
    except RecursionError as exc:
        raise _too_deep() from exc
    except ValueError as exc:  # an integer with thousands of digits
        raise MalformedRequest("The JSON document has a number that is too long.") from exc
    _check_depth(document)
    return document


def count_values(text: bytes) -> int:
    """An upper bound for the values in a piece of a document, at the speed of a search."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def check_values(count: int) -> None:
    """Raises PayloadTooLarge for more than a document may have."""
    if count > MAX_VALUES:
        raise PayloadTooLarge(f"The JSON document has more than {MAX_VALUES} values.")


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_KEYS:
        raise PayloadTooLarge(f"The JSON document has more than {MAX_KEYS} keys in one object.")
    made = dict(pairs)
    if len(made) != len(pairs):
        raise MalformedRequest("The JSON document has a key twice in one object.")
    _check_keys("".join(made))
    return made


def _check_keys(keys: str) -> None:
    """Half of a surrogate pair has no UTF-8, so nobody could be told of such a key."""
    try:
        keys.encode()
    except UnicodeEncodeError as exc:
        raise MalformedRequest("The JSON document has half a character in a key.") from exc


def _refuse_constant(_name: str) -> NoReturn:
    raise MalformedRequest("NaN and Infinity are not JSON.")


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MalformedRequest("The JSON document has a number that is too large.")
    return number


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return
    if any(isinstance(value, dict | list) for value in level):
        raise _too_deep()


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _too_deep() -> MalformedRequest:
    return MalformedRequest(f"The JSON document has more than {MAX_DEPTH} levels.")
