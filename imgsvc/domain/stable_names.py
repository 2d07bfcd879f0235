"""Names of results where inputs keep coming: what has a name keeps it.

The rule is that of `names`, as far as it can hold: who comes later does not know what is still
to come. Inputs that come together and would collide both keep their whole names; one that
would collide with what is there already does so alone.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from imgsvc.domain.names import (
    ANY_EXT,
    NUMBER_BYTES,
    Choice,
    InputName,
    Shape,
    comparable,
    folders_above,
    parse_input,
)
from imgsvc.domain.rendering import EXTENSIONS

_ANY = "*"
"""Stands for every extension where it is not known which a result will have."""


class StableNames:
    """variants: name and format of every variant; a format is a key of EXTENSIONS, or
    SAME_FORMAT.
    """

    def __init__(self, variants: Sequence[tuple[str, str]]) -> None:
        self._shape = Shape(variants)
        self._base, self._ext = self._shape.base, self._shape.expected_ext
        self._taken: set[int] = set()
        self._last_number: Counter[str] = Counter()

    def keep(self, choice: str) -> None:
        """What `choose` gave to an input before, perhaps for another recipe."""
        known = _load(choice)
        self._claim(known.usual, known.only_ext)
        if known.only_ext is not None:
            self._claim(known.fallback, None)

    def recall(self, files: Iterable[tuple[str, str, str]]) -> str | None:
        """The choice by which results stand where they do; None when there is none.

        files: variant, format and path of each result of one input.
        """
        bases = {
            path.removesuffix(f"{self._shape.suffixes[variant]}.{EXTENSIONS[format_]}")
            for variant, format_, path in files
            if path.endswith(f"{self._shape.suffixes.get(variant)}.{EXTENSIONS.get(format_)}")
        }
        return _dump(Choice(bases.pop())) if len(bases) == 1 else None

    def choose(self, names: Sequence[str]) -> list[str]:
        """For inputs that have no names yet and come together: text to be kept for each."""
        parsed = [parse_input(number, name) for number, name in enumerate(names)]
        wanted = Counter(
            claim for one in parsed for claim in self._claims(self._base(one, ""), self._ext(one))
        )
        for one in parsed:
            self._taken.update(map(_mark, folders_above(one.folder)))
        return [_dump(self._choose_one(one, wanted)) for one in parsed]

    def path(self, choice: str, variant: str, format_: str) -> str:
        """Relative path, with `/`, of the finished file of `variant`, which is a `format_`."""
        return self._shape.path(_load(choice), variant, format_)

    def _choose_one(self, one: InputName, wanted: Counter[str]) -> Choice:
        ext = self._ext(one)
        claims = self._claims(self._base(one, ""), ext)
        if any(_rivals(wanted, claim) > 1 for claim in claims):
            return Choice(self._take(one, one.extension, None))
        usual = self._take(one, "", ext)
        if ext is None or usual != self._base(one, ""):
            return Choice(usual)
        return Choice(usual, ext, self._take(one, one.extension, None))

    def _take(self, one: InputName, extension: str, only_ext: str | None) -> str:
        """The first that is free of the base, the whole name, and those with numbers."""
        for base in self._candidates(one, extension):
            ext = only_ext if base == self._base(one, "") else None
            if all(self._is_free(claim) for claim in self._claims(base, ext)):
                self._claim(base, ext)
                return base
        raise AssertionError("numbers do not end")

    def _candidates(self, one: InputName, extension: str) -> Iterator[str]:
        yield self._base(one, extension)
        if extension != one.extension:
            yield self._base(one, one.extension)
        alike = comparable(self._base(one, one.extension + " " * NUMBER_BYTES))
        while True:
            self._last_number[alike] += 1
            yield self._base(one, f"{one.extension}-{self._last_number[alike] + 1}")

    def _claims(self, base: str, only_ext: str | None) -> Iterator[str]:
        """Paths that a base could need, as compared."""
        start = comparable(base)
        for suffix, own_ext in self._shape.tails:
            yield f"{start}{suffix}.{own_ext or only_ext or _ANY}"

    def _claim(self, base: str, only_ext: str | None) -> None:
        self._taken.update(map(_mark, self._claims(base, only_ext)))

    def _is_free(self, claim: str) -> bool:
        return self._taken.isdisjoint(map(_mark, _alike(claim)))


def _alike(claim: str) -> Iterable[str]:
    """Claims that cannot stand beside this one, itself among them."""
    start, _, ext = claim.rpartition(".")
    if ext == _ANY:
        return [claim, *(f"{start}.{each}" for each in ANY_EXT)]
    return [claim, f"{start}.{_ANY}"]


def _rivals(wanted: Counter[str], claim: str) -> int:
    return sum(wanted[each] for each in _alike(claim))


def _mark(claim: str) -> int:
    """Eight bytes for a claim: there may be millions. Two that share one cost a longer name."""
    return int.from_bytes(hashlib.blake2b(claim.encode(), digest_size=8).digest())


def _dump(choice: Choice) -> str:
    parts = [choice.usual, choice.only_ext, choice.fallback]
    return json.dumps(parts if choice.only_ext else parts[:1], ensure_ascii=False)


def _load(choice: str) -> Choice:
    return Choice(*json.loads(choice))
