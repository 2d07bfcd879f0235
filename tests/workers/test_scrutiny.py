"""A report is believed when a worker of ours could have written it."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from imgsvc.domain.rendering import (
    AnalysisFacts,
    Failure,
    ImageWarning,
    InputFacts,
    NeedsMemory,
    OutputFacts,
    Rendered,
    RenderFailed,
)
from imgsvc.errors import ImageErrorCode, WarningCode
from imgsvc.workers.answers import take_apart
from imgsvc.workers.child import BundleReport
from imgsvc.workers.scrutiny import is_plausible

INPUT = InputFacts("png", 1, 2, 1)
OUTPUT = OutputFacts("a-1", "webp", 1, 2, 1, 99, "0" * 64)
RENDERED = Rendered(
    INPUT,
    (OUTPUT,),
    (ImageWarning(WarningCode.NOT_ENLARGED, "Größer", ("a-1",)),),
    5,
    AnalysisFacts("#ffffff", has_alpha=True, thumbhash="abc"),
)
FAILED = RenderFailed(Failure(ImageErrorCode.INTERNAL, "no"), None, 5)
REPORT = BundleReport((RENDERED, FAILED, NeedsMemory(7)), {1: "Traceback"}, 1 << 30)


def change(facts: Any, **values: Any) -> Any:
    """What no type allows."""
    return replace(facts, **values)


def test_every_kind_of_outcome_is_understood_and_believed() -> None:
    said = take_apart(pickle.dumps(REPORT))
    assert said == REPORT
    assert is_plausible(said, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"variant": "../../imgsvc"},
        {"variant": "a/b"},
        {"variant": b"a"},
        {"format": "exe"},
        {"format": None},
        {"sha256": "x"},
        {"size_bytes": 1 << 63},
        {"size_bytes": -1},
        {"width": 1.5},
        {"width": True},
        {"reused": 1},
    ],
    ids=str,
)
def test_an_output_that_cannot_be_is_not_believed(change: dict[str, Any]) -> None:
    outcome = replace(RENDERED, outputs=(replace(OUTPUT, **change),))
    assert not is_plausible(BundleReport((outcome,), {}, 1), 1)


@pytest.mark.parametrize(
    "report",
    [
        None,
        RENDERED,
        BundleReport((RENDERED,) * 4, {}, 1),
        change(REPORT, tracebacks={3: "Traceback"}),
        change(REPORT, tracebacks={1: b"Traceback"}),
        change(REPORT, outcomes=("x",)),
        change(REPORT, outcomes=[RENDERED]),
        change(REPORT, resident_bytes="1"),
        change(REPORT, outcomes=(change(FAILED, failure=change(FAILED.failure, code="no")),)),
        change(REPORT, outcomes=(change(RENDERED, input=None),)),
        change(REPORT, outcomes=(change(FAILED, input=change(INPUT, format="\ud800")),)),
        BundleReport.__new__(BundleReport),
    ],
    ids=range(12),
)
def test_a_report_that_cannot_be_is_not_believed(report: object) -> None:
    assert not is_plausible(report, 3)


class Opener:
    def __reduce__(self) -> Any:
        return open, ("/etc/passwd",)


@pytest.mark.parametrize(
    "content", [Opener(), open, print, pickle.Unpickler, SystemExit(), type, {"a": Opener()}]
)
def test_nothing_but_facts_and_plain_exceptions_is_made_of_what_a_worker_sends(
    content: object,
) -> None:
    with pytest.raises(pickle.UnpicklingError):
        take_apart(pickle.dumps(content))


@pytest.mark.parametrize("data", [b"", b"x", b"\x80\x05", b"\x80\x05K\x01"])
def test_a_broken_answer_is_told_alike(data: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError):
        take_apart(data)


def test_plain_exceptions_arrive() -> None:
    assert isinstance(take_apart(pickle.dumps(MemoryError())), MemoryError)
