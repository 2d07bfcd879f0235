"""One image, all its variants: the work of a worker process."""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pyvips

from imgsvc.domain.rendering import (
    AnalysisFacts,
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
from imgsvc.errors import ImageError, ImageErrorCode, WarningCode
from imgsvc.imaging.analysis import analyse
from imgsvc.imaging.cost import predict_cost
from imgsvc.imaging.decoding import Frames, decode, find_cuts
from imgsvc.imaging.encoders import encode
from imgsvc.imaging.loaders import open_file, prepare
from imgsvc.imaging.marks import name_files
from imgsvc.imaging.metadata import Metadata, dress, read_metadata, select
from imgsvc.imaging.pipeline import make_variant
from imgsvc.imaging.plan import (
    BasePlan,
    RenderPlan,
    VariantPlan,
    base_to_analyse,
    check_outputs,
    make_plan,
)
from imgsvc.imaging.probe import Header, check_limits, probe
from imgsvc.imaging.source import Source
from imgsvc.imaging.tiff_tags import read_exif
from imgsvc.imaging.tiles import check_tiles
from imgsvc.imaging.translation import making, out_of_memory
from imgsvc.imaging.warnings import collect_warnings
from imgsvc.recipes.model import load_recipe

_FULL_DISK = (ImageErrorCode.STORAGE_FULL, "There is not enough free disk space.")
_REFUSED_WRITES = {
    errno.ENOSPC: _FULL_DISK,
    errno.EDQUOT: _FULL_DISK,
    errno.EFBIG: (ImageErrorCode.OUTPUT_TOO_LARGE, "An output has more bytes than a file may."),
}


class _Made(NamedTuple):
    output: OutputFacts
    warnings: frozenset[WarningCode]


class _Work(NamedTuple):
    """made: by name of the variant."""

    made: Mapping[str, _Made]
    profile_assumed: bool
    analysis: AnalysisFacts | None


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
    recipe = load_recipe(task.recipe)
    source = Source(task.input_path, header)
    plan = make_plan(recipe, header, {})
    if (cost_bytes := predict_cost(header, plan)) > task.memory_bytes:
        return NeedsMemory(cost_bytes)
    check_tiles(task.input_path, header)
    if cuts := find_cuts(source, recipe):
        plan = make_plan(recipe, header, cuts)
        if (cost_bytes := predict_cost(header, plan)) > task.memory_bytes:
            return NeedsMemory(cost_bytes)
    check_outputs(plan)
    work = _make_outputs(task, source, plan)
    by_name = {variant.name: work.made[variant.name] for variant in recipe.variants}
    return Rendered(
        header.facts,
        tuple(one.output for one in by_name.values()),
        collect_warnings(
            header,
            plan.variants,
            {name: one.warnings for name, one in by_name.items()},
            profile_assumed=work.profile_assumed,
        ),
        _elapsed_ms(started_ns),
        work.analysis,
    )


def _make_outputs(task: RenderTask, source: Source, plan: RenderPlan) -> _Work:
    """All of them, or on any error none."""
    made: dict[str, _Made] = {}
    profile_assumed = False
    analysis: AnalysisFacts | None = None
    to_analyse = base_to_analyse(plan, source.header) if task.analyse else None
    bases = plan.bases
    if to_analyse is not None and to_analyse not in bases:
        bases = (*bases, to_analyse)
    with ExitStack() as undo:
        for base in bases:
            # of one decode of several nothing may stay in memory while the next is made
            frames, assumed = decode(source if len(bases) == 1 else source.afresh(), base)
            profile_assumed = profile_assumed or (assumed and bool(base.variants))
            if to_analyse is not None and base is to_analyse:
                analysis = analyse(frames[0], base.box.size)
            metadata = _read_metadata(frames[0], base, source)
            for variant in base.variants:
                path = Path(output_path(task.output_prefix, variant.variant.name, variant.format))
                undo.callback(path.unlink, missing_ok=True)
                made[variant.variant.name] = _make_output(frames, variant, metadata, path)
            del frames  # or they would stay in memory while the next are decoded
        undo.pop_all()
    return _Work(made, profile_assumed, analysis)


def _read_metadata(frame: pyvips.Image, base: BasePlan, source: Source) -> Metadata:
    """It came along with the pixels, but for a TIFF's; read only where it is wanted."""
    if all(plan.variant.metadata == "none" for plan in base.variants):
        return Metadata()
    exif = read_exif(source.path) if source.header.format == "tiff" else None
    metadata = read_metadata(frame, exif)
    if source.header.has_profile and not base.keeps_profile:
        return replace(metadata, icc=None, incomplete=True)
    return metadata if base.keeps_profile else replace(metadata, icc=None)


def _make_output(base: Frames, plan: VariantPlan, metadata: Metadata, path: Path) -> _Made:
    warnings = set()
    with making():
        image, keep = _join(make_variant(base, plan)), "none"
        if plan.variant.metadata != "none":
            selected = select(metadata, plan.variant.metadata, plan.format)
            image, dropped = dress(image, selected, plan.format)
            keep = "all"
            if dropped:
                warnings.add(WarningCode.METADATA_DROPPED)
        data, fits = encode(image, plan, keep=keep)
    if not fits:
        warnings.add(WarningCode.MAX_BYTES_MISSED)
    _write(path, data)
    output = OutputFacts(
        variant=plan.variant.name,
        format=plan.format,
        width=image.width,
        height=image.height // plan.frames,
        frames=1 if plan.frames == 1 else _count_frames(path, plan.format),
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return _Made(output, frozenset(warnings))


def _join(frames: Frames) -> pyvips.Image:
    """Frames one below the other, as libvips' encoders take them. Delays came with them."""
    if len(frames) == 1:
        return frames[0]
    strip = pyvips.Image.arrayjoin(list(frames), across=1).copy()
    strip.set_type(pyvips.GValue.gint_type, "page-height", frames[0].height)
    return strip


def _count_frames(path: Path, format_: str) -> int:
    """Encoders may join equal neighbours."""
    image = open_file(str(path), format_)
    return int(image.get("n-pages")) if image.get_typeof("n-pages") else 1


def _write(path: Path, data: bytes) -> None:
    """Written and closed; bringing it to stable storage is the parent's part."""
    try:
        path.write_bytes(data)
    except OSError as exc:
        if exc.errno not in _REFUSED_WRITES:
            raise
        raise ImageError(*_REFUSED_WRITES[exc.errno]) from exc


def _failed(error: ImageError, header: Header | None, started_ns: int) -> RenderFailed:
    facts: InputFacts | None = header.facts if header else None
    return RenderFailed(Failure(error.code, error.message), facts, _elapsed_ms(started_ns))


def _elapsed_ms(started_ns: int) -> int:
    return (time.monotonic_ns() - started_ns) // 1_000_000
