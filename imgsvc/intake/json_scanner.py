"""Finding long strings in a JSON document that arrives in pieces.

The scanner knows just enough of JSON to say where a string stands. It does not judge
the rest: the caller parses what is left, and in a broken document that fails.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum

from imgsvc.errors import MalformedRequest
from imgsvc.intake.json_document import MAX_DEPTH, parse_document

LiftPath = tuple[str | None, ...]
"""Keys from the root to a string value; None stands for any index of an array."""

_STRUCTURE = re.compile(rb'["{}\[\]:,]')
# No possessive quantifiers: Python before 3.11.4 gets them wrong.
_STRING_BODY = re.compile(rb'[^"\\]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\]*)*')
_ESCAPE_BEGUN = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?")
_MAX_KEY_BYTES = 256


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the document that stays."""

    text: bytes


@dataclass(frozen=True, slots=True)
class LiftedText:
    """A piece of a lifted string, still escaped; never ends within an escape."""

    text: bytes


class Mark(Enum):
    """Where a lifted string begins and ends; its quotes stay in the document."""

    LIFT_BEGINS = 1
    LIFT_ENDS = 2


Event = Text | LiftedText | Mark


class _Role(Enum):
    """What the string being read is."""

    KEY = 1
    VALUE = 2
    LIFTED = 3


@dataclass(slots=True)
class _Container:
    is_object: bool
    expects_key: bool
    key: str | None = None


class Scanner:
    """Feed it blocks in order. Work per block is bounded by the block's length."""

    def __init__(self, lift: Collection[LiftPath]) -> None:
        self._lift = frozenset(lift)
        self._depths = {len(path) for path in lift}
        self._containers: list[_Container] = []
        self._role: _Role | None = None
        self._key = bytearray()
        self._carry = b""

    def scan(self, block: bytes) -> Iterator[Event]:
        """Raises MalformedRequest where brackets or escapes cannot be right."""
        block = self._carry + block
        self._carry = b""
        kept_from = position = 0
        while position < len(block):
            if self._role is None:
                position = self._scan_structure(block, position)
                if self._role is _Role.LIFTED:
                    yield Text(block[kept_from:position])
                    yield Mark.LIFT_BEGINS
                    kept_from = position
                continue
            end, is_closed = _find_string_end(block, position)
            piece = block[position:end]
            if self._role is _Role.LIFTED:
                yield LiftedText(piece)
                kept_from = end
                if is_closed:
                    yield Mark.LIFT_ENDS
            elif self._role is _Role.KEY:
                self._key += piece[: _MAX_KEY_BYTES - len(self._key)]
            if is_closed:
                position = end + 1
                self._close_string()
            else:
                self._carry = block[end:]
                block = block[:end]
                position = end
        if kept_from < len(block):
            yield Text(block[kept_from:])

    def finish(self) -> None:
        """Raises MalformedRequest when the document stops half-way."""
        if self._containers or self._role is not None:
            raise MalformedRequest("The JSON document ends early.")

    def _scan_structure(self, block: bytes, position: int) -> int:
        """Go on to behind the next opening quote, or to the end of the block."""
        for match in _STRUCTURE.finditer(block, position):
            character = match[0]
            if character == b'"':
                self._open_string()
                return match.end()
            if character in b"{[":
                self._push(is_object=character == b"{")
            elif character in b"}]":
                self._pop(is_object=character == b"}")
            elif self._containers:
                top = self._containers[-1]
                top.expects_key = top.is_object and character == b","
        return len(block)

    def _push(self, *, is_object: bool) -> None:
        if len(self._containers) >= MAX_DEPTH:
            raise MalformedRequest(f"The JSON document has more than {MAX_DEPTH} levels.")
        self._containers.append(_Container(is_object, expects_key=is_object))

    def _pop(self, *, is_object: bool) -> None:
        if not self._containers or self._containers.pop().is_object != is_object:
            raise MalformedRequest("The JSON document is broken: brackets do not match.")

    def _open_string(self) -> None:
        if self._containers and self._containers[-1].expects_key:
            self._role = _Role.KEY
            self._key.clear()
        else:
            self._role = _Role.LIFTED if self._is_to_be_lifted() else _Role.VALUE

    def _close_string(self) -> None:
        if self._role is _Role.KEY:
            self._containers[-1].key = self._read_key()
        self._role = None

    def _read_key(self) -> str | None:
        """None for a key so long that no path holds it."""
        if len(self._key) >= _MAX_KEY_BYTES:
            return None
        if b"\\" in self._key:
            return str(parse_document(b'"%s"' % self._key))
        return self._key.decode(errors="replace")

    def _is_to_be_lifted(self) -> bool:
        if len(self._containers) not in self._depths:
            return False
        return tuple(c.key if c.is_object else None for c in self._containers) in self._lift


def _find_string_end(block: bytes, position: int) -> tuple[int, bool]:
    """Where the string's text in this block ends, and whether a closing quote stands there.

    Without one, what follows the end is an escape that the next block completes.
    """
    quote = block.find(b'"', position)
    limit = quote if quote >= 0 else len(block)
    if block.find(b"\\", position, limit) < 0:
        return limit, quote >= 0
    match = _STRING_BODY.match(block, position)
    end = match.end() if match else position
    if end == len(block) or _ESCAPE_BEGUN.fullmatch(block, end):
        return end, False
    if block[end : end + 1] == b'"':
        return end, True
    raise MalformedRequest("The JSON document is broken: invalid escape.")
