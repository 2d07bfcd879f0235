"""Whether a report is one that a worker of ours could have written.

One that is taken over may send anything of the right classes: numbers that no database holds,
names that lead out of a folder. What is not plausible is no report, and its worker is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from imgsvc.domain.rendering import EXTENSIONS, OutputFacts, Rendered
from imgsvc.workers.child import BundleReport

Check = Callable[[object], bool]

_MAX_NUMBER = 1 << 62
_MAX_TEXT = 100_000
_VARIANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_plausible(report: object, tasks: int) -> bool:
    """For a bundle of so many tasks."""
    return (
        _check_for(BundleReport)(report)
        and isinstance(report, BundleReport)
        and len(report.outcomes) <= tasks
        and all(position < len(report.outcomes) for position in report.tracebacks)
        and all(
            _is_output(output)
            for outcome in report.outcomes
            if isinstance(outcome, Rendered)
            for output in outcome.outputs
        )
    )


def _is_output(output: OutputFacts) -> bool:
    return (
        output.format in EXTENSIONS
        and _VARIANT.fullmatch(output.variant) is not None
        and _SHA256.fullmatch(output.sha256) is not None
    )


@cache
def _check_for(hint: Any) -> Check:
    """What says whether a value is of the type, and all that it holds."""
    if isinstance(hint, UnionType):
        checks = [_check_for(one) for one in get_args(hint)]
        return lambda value: any(check(value) for check in checks)
    if get_origin(hint) is tuple:
        check_item = _check_for(get_args(hint)[0])  # all are of any length
        return lambda value: type(value) is tuple and all(map(check_item, value))
    if get_origin(hint) is dict:
        check_key, check_value = map(_check_for, get_args(hint))
        return lambda value: (
            type(value) is dict
            and all(map(check_key, value))
            and all(map(check_value, value.values()))
        )
    if hint is int:
        return lambda value: type(value) is int and 0 <= value < _MAX_NUMBER
    if hint is str:
        return _is_text
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        parts = [(field.name, _check_for(hints[field.name])) for field in fields(hint)]
        return lambda value: (
            type(value) is hint
            and all(check(getattr(value, name, _ABSENT)) for name, check in parts)
        )
    return lambda value: type(value) is hint  # an enum, a bool or None


def _is_text(value: object) -> bool:
    return (
        type(value) is str
        and len(value) <= _MAX_TEXT
        and (value.isascii() or not _SURROGATE.search(value))
    )


_ABSENT = object()
"""In a field that a crafted pickle left out."""
