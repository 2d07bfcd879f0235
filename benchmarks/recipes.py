"""Each operation and each format: what a worker takes for it, and what libvips alone does.

Both sides read the same file and write one, in turns, in one process on one core: a service
has a worker for each, so what libvips could do on a second one meanwhile is not to be had. The
worker's side also checks the header, follows the exact sizes and takes the SHA-256 of what it
wrote. Memory is the peak of a process of its own that does nothing else, less what it has
before it begins.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpus import find_photos
from benchmarks.photos import make_photos
from benchmarks.plain import CASES, MARK_NAME, MARK_SHA256, Case
from imgsvc.recipes.model import Recipe, Variant, canonical_json
from imgsvc.recipes.presets import BUILT_IN

PRESETS = ("standard", "web")
LARGE_SIDE = 10_000
MEMORY_BYTES = 8 << 30


class NotRendered(Exception):
    """The worker's side did not do its work."""


def run(photo: Path, folder: Path, rounds: int) -> str:
    """The tables, in Markdown."""
    moving, large = folder / "moving.gif", {k: folder / f"large.{k}" for k in ("jpg", "png")}
    _in_child("make-files", str(photo), str(moving), *map(str, large.values()))
    lines = [
        f"Photo: {photo.name}; medians of {rounds} rounds on one core.",
        "",
        "| one variant | imgsvc, ms | libvips, ms | ratio | imgsvc, MiB | libvips, MiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for case in CASES:
        source = moving if case.moves else photo
        lines.append(_compare(case.name, canonical_json(_recipe(case)), source, folder, rounds))
        print(lines[-1], file=sys.stderr, flush=True)
    lines += [
        "",
        "| preset | together, ms | one decode per variant, ms | ratio | MiB | MiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for preset in PRESETS:
        lines.append(_compare(preset, canonical_json(BUILT_IN[preset]), photo, folder, rounds))
        print(lines[-1], file=sys.stderr, flush=True)
    lines += [
        "",
        "| 100 megapixels, `standard` | ms | whole worker process, MiB |",
        "|---|---:|---:|",
    ]
    for kind, path in large.items():
        recipe = canonical_json(BUILT_IN["standard"])
        found = _in_child("peak", "ours", recipe, str(path), str(folder))
        lines.append(f"| {kind} | {1000 * found['elapsed_s']:.0f} | {found['peak_mib']:.0f} |")
    return "\n".join(lines)


def _compare(name: str, recipe: str, source: Path, folder: Path, rounds: int) -> str:
    times = _in_child("times", name, recipe, str(source), str(folder), str(rounds))
    peaks = [
        _in_child("peak", side, recipe, str(source), str(folder), name)
        for side in ("ours", "plain")
    ]
    ours, plain = (1000 * statistics.median(times[side]) for side in ("ours", "plain"))
    ratio = statistics.median(a / b for a, b in zip(times["ours"], times["plain"], strict=True))
    memory = " | ".join(f"{peak['grown_mib']:.0f}" for peak in peaks)
    return f"| {name} | {ours:.1f} | {plain:.1f} | {ratio:.2f} | {memory} |"


def _recipe(case: Case) -> Recipe:
    return Recipe(variants=(Variant.model_validate({"name": "v", **case.fields}),))


def _in_child(*arguments: str) -> dict[str, Any]:
    """What this module's other half says, in a process of its own."""
    environment = {**os.environ, "VIPS_CONCURRENCY": "1", "MALLOC_ARENA_MAX": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.recipes", "--child", *arguments],
        env=environment, stdout=subprocess.PIPE, check=True, timeout=600,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _sides(name: str, recipe: str, source: str, folder: str) -> Mapping[str, Callable[[], None]]:
    case = next((case for case in CASES if case.name == name), None)
    if case is None:
        return {
            "ours": _render(recipe, source, folder),
            "plain": _render_apart(recipe, source, folder),
        }
    target = f"{folder}/plain.{case.extension}"
    return {"ours": _render(recipe, source, folder), "plain": lambda: case.make(source, target)}


def _render(recipe: str, source: str, folder: str) -> Callable[[], None]:
    from imgsvc.domain.rendering import (
        DecodeLimits,
        Rendered,
        RenderTask,
        TaskKey,
        WatermarkFile,
    )
    from imgsvc.imaging.render import render

    task = RenderTask(
        key=TaskKey("bench", 0, 1),
        input_path=source,
        output_prefix=f"{folder}/ours",
        recipe=recipe,
        limits=DecodeLimits(max_pixels=10**9, max_frames=1000),
        memory_bytes=MEMORY_BYTES,
        watermarks=(WatermarkFile(MARK_SHA256, f"{folder}/{MARK_NAME}"),),
    )

    def work() -> None:
        outcome = render(task)
        if not isinstance(outcome, Rendered):
            raise NotRendered(outcome)

    return work


def _render_apart(recipe: str, source: str, folder: str) -> Callable[[], None]:
    variants = Recipe.model_validate_json(recipe).variants
    works = [
        _render(canonical_json(Recipe(variants=(variant,))), source, folder) for variant in variants
    ]

    def work() -> None:
        for one in works:
            one()

    return work


def _time_sides(name: str, recipe: str, source: str, folder: str, rounds: str) -> object:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sides = _sides(name, recipe, source, folder)
    for work in sides.values():
        work()
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(int(rounds)):
        for side, work in sides.items():
            begin = time.perf_counter()
            work()
            times[side].append(time.perf_counter() - begin)
    return times


def _measure_peak(side: str, recipe: str, source: str, folder: str, name: str = "") -> object:
    from imgsvc.imaging.loaders import prepare

    prepare()
    work = _sides(name, recipe, source, folder)[side]
    before_mib = _peak_mib()
    begin = time.perf_counter()
    work()
    elapsed_s = time.perf_counter() - begin
    peak_mib = _peak_mib()
    return {"grown_mib": peak_mib - before_mib, "peak_mib": peak_mib, "elapsed_s": elapsed_s}


def _peak_mib() -> float:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _make_files(photo: str, moving: str, *large: str) -> object:
    import pyvips

    frames = [
        pyvips.Image.thumbnail(photo, 480 + n, height=320 + n, size="force").crop(n, n, 480, 320)
        for n in range(0, 96, 4)
    ]
    strip = pyvips.Image.arrayjoin(frames, across=1).copy()
    strip.set_type(pyvips.GValue.gint_type, "page-height", 320)
    strip.gifsave(moving, keep="none")
    mark = pyvips.Image.thumbnail(photo, 400)
    mark.bandjoin(mark.extract_band(1)).pngsave(str(Path(moving).with_name(MARK_NAME)))
    for path in large:
        picture = pyvips.Image.thumbnail(photo, LARGE_SIDE, height=LARGE_SIDE, size="force")
        picture.write_to_file(path)
    return {}


_CHILD: Mapping[str, Callable[..., object]] = {
    "times": _time_sides,
    "peak": _measure_peak,
    "make-files": _make_files,
}


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["--child"]:
        print(json.dumps(_CHILD[arguments[1]](*arguments[2:])))
        return 0
    parser = argparse.ArgumentParser(
        prog="make bench-recipes", description="Measure every operation against libvips alone."
    )
    parser.add_argument("--corpus", type=Path, help="folder of photos, or one photo (generated)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of either side (9)")
    given = parser.parse_args(arguments)
    if given.corpus is None:
        photo = make_photos(Path("build/photos"), 1)[0]
    else:
        photo = given.corpus if given.corpus.is_file() else find_photos(given.corpus)[0]
    with tempfile.TemporaryDirectory(prefix="imgsvc-bench-") as scratch:
        print(run(photo.resolve(), Path(scratch), given.rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
