"""What pydantic finds wrong with a document, in words that name no class and no language."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from imgsvc.errors import Fault

MAX_FAULTS = 100
"""Faults told of one document; the first ones are enough to find what is wrong."""

_PLAINER = {
    "extra_forbidden": "Unknown field.",
    "missing": "This field is required.",
    "model_type": "Must be an object.",
    "dict_type": "Must be an object.",
    "list_type": "Must be a list.",
    "tuple_type": "Must be a list.",
}


def faults_of(error: ValidationError) -> tuple[Fault, ...]:
    """One fault for each wrong place, MAX_FAULTS at most."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(
        Fault(pointer_to(fault["loc"]), _detail(fault["type"], fault["msg"]))
        for fault in found[:MAX_FAULTS]
    )


def pointer_to(location: Iterable[int | str]) -> str:
    """A JSON Pointer (RFC 6901)."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in location)
    return "".join(f"/{step}" for step in steps)


def _detail(kind: str, message: str) -> str:
    return _PLAINER.get(kind) or f"{message.removeprefix('Value error, ').rstrip('.')}."
