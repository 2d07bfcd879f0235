"""What pydantic finds wrong with a document, as faults."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from imgsvc.domain.wording import put_plainly
from imgsvc.errors import Fault

MAX_FAULTS = 100
"""Faults told of one document; the first ones are enough to find what is wrong."""


def faults_of(error: ValidationError) -> tuple[Fault, ...]:
    """One fault for each wrong place, MAX_FAULTS at most."""
    found = error.errors(include_url=False, include_input=False)
    return tuple(
        Fault(pointer_to(fault["loc"]), _sentence(put_plainly(fault)))
        for fault in found[:MAX_FAULTS]
    )


def pointer_to(location: Iterable[int | str]) -> str:
    """A JSON Pointer (RFC 6901)."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in location)
    return "".join(f"/{step}" for step in steps)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
