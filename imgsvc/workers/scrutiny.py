"""Whether a report is one that a worker of ours could have written about these tasks.

One that is taken over may send anything of the right types: numbers that no database holds,
variants that nobody asked for and for whose files there are no names. What is not plausible
is no report, and its worker is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from imgsvc.domain.rendering import (
    EXTENSIONS,
    AnalysisFacts,
    ImageWarning,
    InputFacts,
    NeedsMemory,
    Outcome,
    OutputFacts,
    Rendered,
    RenderFailed,
    RenderTask,
)
from imgsvc.recipes.model import load_recipe
from imgsvc.workers.limits import MAX_FILE_BYTES
from imgsvc.workers.report import MAX_TRACEBACK, BundleReport

_MAX_SIDE = 1 << 31
_MAX_NUMBER = 1 << 53
"""Any sum over a job finds room in the database's 63 bits."""

_MAX_NAME = 100
_MAX_WARNINGS = 200
_MAX_TEXT = 20_000
"""Characters for all that is said of one image: it stays in the database."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_THUMBHASH = re.compile(r"[A-Za-z0-9+/]{1,60}={0,2}")


def is_plausible(report: BundleReport, tasks: Sequence[RenderTask]) -> bool:
    """For a bundle of these tasks, not all of which need have been begun."""
    count = len(report.outcomes)
    return (
        count <= len(tasks)
        and all(0 <= position < count for position in report.tracebacks)
        and all(len(trace) <= MAX_TRACEBACK for trace in report.tracebacks.values())
        and 0 <= report.resident_bytes < _MAX_NUMBER
        and all(map(_may_come_of, tasks, report.outcomes))
    )


def _may_come_of(task: RenderTask, outcome: Outcome) -> bool:
    match outcome:
        case NeedsMemory():
            return task.memory_bytes < outcome.cost_bytes < _MAX_NUMBER
        case RenderFailed():
            return (
                len(outcome.failure.message) <= _MAX_TEXT
                and (outcome.input is None or _is_input(outcome.input))
                and 0 <= outcome.duration_ms < _MAX_NUMBER
            )
        case Rendered():
            return (
                _is_input(outcome.input)
                and _are_outputs(task, outcome.outputs)
                and _are_warnings(outcome)
                and 0 <= outcome.duration_ms < _MAX_NUMBER
                and (outcome.analysis is None or (task.analyse and _is_look(outcome.analysis)))
            )


def _is_input(facts: InputFacts) -> bool:
    """As a header says, which may say anything."""
    sizes = (facts.width, facts.height, facts.frames)
    return len(facts.format) <= _MAX_NAME and all(0 <= size < _MAX_NUMBER for size in sizes)


def _are_outputs(task: RenderTask, outputs: Sequence[OutputFacts]) -> bool:
    """The recipe's variants, each once and in order."""
    variants = load_recipe(task.recipe).variants
    return len(outputs) == len(variants) and all(
        output.variant == variant.name and _is_output(output, variant.format)
        for output, variant in zip(outputs, variants, strict=True)
    )


def _is_output(output: OutputFacts, wanted: str) -> bool:
    sizes = (output.width, output.height, output.frames)
    return (
        output.format in EXTENSIONS
        and wanted in (output.format, "same")
        and all(1 <= size < _MAX_SIDE for size in sizes)
        and 0 <= output.size_bytes <= MAX_FILE_BYTES
        and _SHA256.fullmatch(output.sha256) is not None
        and not output.reused
    )


def _are_warnings(outcome: Rendered) -> bool:
    names = {output.variant for output in outcome.outputs}
    return (
        len(outcome.warnings) <= _MAX_WARNINGS
        and sum(len(warning.message) for warning in outcome.warnings) <= _MAX_TEXT
        and all(_is_about(warning, names) for warning in outcome.warnings)
    )


def _is_about(warning: ImageWarning, names: set[str]) -> bool:
    return len(set(warning.variants)) == len(warning.variants) and names.issuperset(
        warning.variants
    )


def _is_look(facts: AnalysisFacts) -> bool:
    return (
        _COLOUR.fullmatch(facts.dominant_colour) is not None
        and _THUMBHASH.fullmatch(facts.thumbhash) is not None
    )
