"""Ids: UUIDv7 strings (RFC 9562), so that later ids sort after earlier ones."""

from __future__ import annotations

import re

import uuid_utils

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_id() -> str:
    return str(uuid_utils.uuid7())


def created_ms(id_: str) -> int:
    """When an id was made, in milliseconds since 1970."""
    return int(id_[:8] + id_[9:13], 16)


def earliest_id(at_ms: int) -> str:
    """The first of all ids that can be made at a time, in milliseconds since 1970."""
    digits = f"{at_ms:012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def is_id(text: str) -> bool:
    """Whether `text` is spelled as our ids are: lower case, with dashes."""
    return _UUID.fullmatch(text) is not None
