"""One image, all its variants: the work of a worker process."""

from __future__ import annotations

import errno
import hashlib
import time
from contextlib import ExitStack
from pathlib import Path

import pyvips

from imgsvc.domain.rendering import (
    Failure,
    InputFacts,
    NeedsMemory,
    Outcome,
    OutputFacts,
    Rendered,
    RenderFailed,
    RenderTask,
    output_path,
)
from imgsvc.errors import ImageError, ImageErrorCode
from imgsvc.imaging.cost import predict_cost
from imgsvc.imaging.decoding import decode
from imgsvc.imaging.encoders import ENCODERS
from imgsvc.imaging.loaders import prepare
from imgsvc.imaging.marks import name_files
from imgsvc.imaging.pipeline import make_variant
from imgsvc.imaging.plan import VariantPlan, make_plan
from imgsvc.imaging.probe import Header, check_limits, probe
from imgsvc.imaging.translation import making, out_of_memory
from imgsvc.imaging.warnings import collect_warnings
from imgsvc.recipes.model import load_recipe

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def render(task: RenderTask) -> Outcome:
    """Make every variant of the task's recipe; whatever the image is like, never raise.

    What does raise is a mistake of ours, or a file system that fails. Unless the outcome
    is Rendered, no output file is left behind.
    """
    prepare()
    name_files(task.watermarks)
    started_ns = time.monotonic_ns()
    header: Header | None = None
    try:
        header = probe(task.input_path)
        check_limits(header, task.limits)
        return _render(task, header, started_ns)
    except ImageError as exc:
        return _failed(exc, header, started_ns)
    except MemoryError:
        return _failed(out_of_memory(), header, started_ns)


def _render(task: RenderTask, header: Header, started_ns: int) -> Rendered | NeedsMemory:
    plan = make_plan(load_recipe(task.recipe), header)
    cost_bytes = predict_cost(header, plan)
    if cost_bytes > task.memory_bytes:
        return NeedsMemory(cost_bytes)
    base, profile_assumed = decode(header, task.input_path, plan.base)
    outputs = _make_outputs(task.output_prefix, base, plan.variants)
    warnings = collect_warnings(header, plan.variants, profile_assumed=profile_assumed)
    return Rendered(header.facts, outputs, warnings, _elapsed_ms(started_ns))


def _make_outputs(
    prefix: str, base: pyvips.Image, variants: tuple[VariantPlan, ...]
) -> tuple[OutputFacts, ...]:
    """All of them, or on any error none."""
    with ExitStack() as undo:
        outputs = []
        for plan in variants:
            path = Path(output_path(prefix, plan.variant.name, plan.format))
            undo.callback(path.unlink, missing_ok=True)
            outputs.append(_make_output(base, plan, path))
        undo.pop_all()
    return tuple(outputs)


def _make_output(base: pyvips.Image, plan: VariantPlan, path: Path) -> OutputFacts:
    with making():
        image = make_variant(base, plan)
        data = ENCODERS[plan.format].encode(image, plan.quality)
    _write(path, data)
    return OutputFacts(
        variant=plan.variant.name,
        format=plan.format,
        width=image.width,
        height=image.height,
        frames=1,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _write(path: Path, data: bytes) -> None:
    """Written and closed; bringing it to stable storage is the parent's part."""
    try:
        path.write_bytes(data)
    except OSError as exc:
        if exc.errno not in _DISK_FULL:
            raise
        raise ImageError(
            ImageErrorCode.STORAGE_FULL, "There is not enough free disk space."
        ) from exc


def _failed(error: ImageError, header: Header | None, started_ns: int) -> RenderFailed:
    facts: InputFacts | None = header.facts if header else None
    return RenderFailed(Failure(error.code, error.message), facts, _elapsed_ms(started_ns))


def _elapsed_ms(started_ns: int) -> int:
    return (time.monotonic_ns() - started_ns) // 1_000_000
