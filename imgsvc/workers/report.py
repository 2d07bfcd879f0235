"""What a child reports, and how it is written down.

As JSON, never as a pickle: that is a program, and one that a hijacked child writes would run
in the server. Of JSON only our own facts are made, each value once, and of its own type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from imgsvc.domain.confinement import Confinement
from imgsvc.domain.formats import Formats
from imgsvc.domain.rendering import Outcome
from imgsvc.errors import ImgsvcError

MAX_TRACEBACK = 20_000
"""Characters, of its end: it goes to the log."""


class NotUnderstood(ImgsvcError):
    """A worker says what none of ours would."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a child says once it is warm: what it can do, and what it cannot do any more."""

    formats: Formats
    confinement: Confinement


@dataclass(frozen=True, slots=True)
class BundleReport:
    """outcomes: one per task begun, in order; fewer than tasks when a stop was asked for, or
    an urgent bundle waits.

    tracebacks: by position, of errors that are ours and not the image's.
    """

    outcomes: tuple[Outcome, ...]
    tracebacks: dict[int, str]
    resident_bytes: int


_T = TypeVar("_T")

_GREETINGS = TypeAdapter(Greeting)
_REPORTS = TypeAdapter(BundleReport)


def write_greeting(greeting: Greeting) -> bytes:
    return _GREETINGS.dump_json(greeting)


def write_report(report: BundleReport) -> bytes:
    return _REPORTS.dump_json(report)


def read_greeting(data: bytes) -> Greeting:
    """Raises NotUnderstood."""
    return _read(_GREETINGS, data)


def read_report(data: bytes) -> BundleReport:
    """Every value has its type; whether it can be is another question. Raises NotUnderstood."""
    return _read(_REPORTS, data)


def _read(facts: TypeAdapter[_T], data: bytes) -> _T:
    try:
        return facts.validate_json(data, strict=True)
    except ValidationError as exc:
        raise NotUnderstood("a worker says what cannot be read") from exc
