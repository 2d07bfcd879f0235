"""A report is believed when a worker of ours could have written it about its tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from imgsvc.domain.rendering import (
    AnalysisFacts,
    DecodeLimits,
    Failure,
    ImageWarning,
    InputFacts,
    NeedsMemory,
    Outcome,
    OutputFacts,
    Rendered,
    RenderFailed,
    RenderTask,
    TaskKey,
)
from imgsvc.errors import ImageErrorCode, WarningCode
from imgsvc.recipes.model import Recipe
from imgsvc.workers.limits import MAX_FILE_BYTES
from imgsvc.workers.report import BundleReport
from imgsvc.workers.scrutiny import is_plausible

INPUT = InputFacts("png", 1, 2, 1)
OUTPUT = OutputFacts("a-1", "webp", 1, 2, 1, 99, "0" * 64)
RENDERED = Rendered(
    INPUT,
    (OUTPUT, replace(OUTPUT, variant="b", format="png")),
    (ImageWarning(WarningCode.NOT_ENLARGED, "Größer", ("a-1",)),),
    5,
    AnalysisFacts("#ffffff", has_alpha=True, thumbhash="1QcSHQRnh493V4dIh4eXh1h4kJUI"),
)
FAILED = RenderFailed(Failure(ImageErrorCode.INTERNAL, "no"), None, 5)
REPORT = BundleReport((RENDERED, FAILED, NeedsMemory(700)), {1: "Traceback"}, 1 << 30)


def make_task(*variants: tuple[str, str], analyse: bool = True) -> RenderTask:
    named = [{"name": name, "format": format_} for name, format_ in variants]
    recipe = Recipe.model_validate({"variants": named}).model_dump_json()
    key = TaskKey("job", 0, 1)
    return RenderTask(key, "in", "out", recipe, DecodeLimits(1, 1), 100, analyse=analyse)


TASK = make_task(("a-1", "webp"), ("b", "same"))


def is_believed(outcome: Outcome, task: RenderTask = TASK) -> bool:
    return is_plausible(BundleReport((outcome,), {}, 1), [task])


def with_outputs(*outputs: OutputFacts) -> Rendered:
    return replace(RENDERED, outputs=outputs, warnings=())


def test_every_kind_of_outcome_is_believed() -> None:
    assert is_plausible(REPORT, [TASK] * 3)
    assert is_plausible(REPORT, [TASK] * 4)
    assert is_believed(with_outputs(*RENDERED.outputs))


def test_an_input_may_say_of_itself_what_it_likes() -> None:
    assert is_believed(replace(FAILED, input=replace(INPUT, width=(1 << 32) - 1)))


@pytest.mark.parametrize(
    "change",
    [
        {"variant": "../../imgsvc"},
        {"variant": "zzz"},
        {"variant": "b"},
        {"format": "exe"},
        {"format": "png"},
        {"sha256": "x"},
        {"size_bytes": MAX_FILE_BYTES + 1},
        {"size_bytes": -1},
        {"width": 0},
        {"height": 1 << 31},
        {"frames": 1 << 31},
        {"reused": True},
    ],
    ids=str,
)
def test_an_output_that_cannot_be_is_not_believed(change: dict[str, Any]) -> None:
    assert not is_believed(with_outputs(replace(OUTPUT, **change), RENDERED.outputs[1]))


@pytest.mark.parametrize("places", [(), (0,), (1, 0), (0, 0), (0, 1, 1)], ids=str)
def test_the_outputs_are_the_variants_each_once_and_in_order(places: tuple[int, ...]) -> None:
    assert not is_believed(with_outputs(*(RENDERED.outputs[place] for place in places)))


@pytest.mark.parametrize(
    "outcome",
    [
        NeedsMemory(100),
        NeedsMemory(1 << 53),
        replace(FAILED, duration_ms=-1),
        replace(FAILED, duration_ms=1 << 53),
        replace(FAILED, failure=Failure(ImageErrorCode.INTERNAL, "x" * 20_001)),
        replace(FAILED, input=replace(INPUT, format="x" * 101)),
        replace(RENDERED, input=replace(INPUT, width=1 << 53)),
        replace(RENDERED, duration_ms=1 << 53),
        replace(RENDERED, warnings=(ImageWarning(WarningCode.NOT_ENLARGED, "", ("zzz",)),)),
        replace(RENDERED, warnings=(ImageWarning(WarningCode.NOT_ENLARGED, "", ("b", "b")),)),
        replace(RENDERED, warnings=(ImageWarning(WarningCode.NOT_ENLARGED, "x" * 10_001),) * 2),
        replace(RENDERED, warnings=(ImageWarning(WarningCode.NOT_ENLARGED, ""),) * 201),
        replace(RENDERED, analysis=AnalysisFacts("red", has_alpha=True, thumbhash="abc")),
        replace(RENDERED, analysis=AnalysisFacts("#ffffff", has_alpha=True, thumbhash="<b>")),
    ],
    ids=range(14),
)
def test_an_outcome_that_cannot_be_is_not_believed(outcome: Outcome) -> None:
    assert not is_believed(outcome)


def test_nobody_looks_at_a_picture_unasked() -> None:
    task = make_task(("a-1", "webp"), ("b", "same"), analyse=False)
    assert not is_believed(RENDERED, task)
    assert is_believed(replace(RENDERED, analysis=None), task)


@pytest.mark.parametrize(
    "report",
    [
        BundleReport((FAILED,) * 4, {}, 1),
        BundleReport((FAILED,), {1: "Traceback"}, 1),
        BundleReport((FAILED,), {-1: "Traceback"}, 1),
        BundleReport((FAILED,), {0: "x" * 20_001}, 1),
        BundleReport((FAILED,), {}, -1),
        BundleReport((FAILED,), {}, 1 << 53),
    ],
    ids=range(6),
)
def test_a_report_that_cannot_be_is_not_believed(report: BundleReport) -> None:
    assert not is_plausible(report, [TASK] * 3)
