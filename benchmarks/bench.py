"""The benchmark: the service against a bare libvips loop, in one run on the same cores.

Both sides make the same pictures from the same files with the same number of processes, in
turns, so that a machine that warms up or slows down does so for both; medians are reported.
The service's time runs from the first byte that is sent until its client, a process of its
own on the same machine, hears that the last output is durable.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import around, ways_in
from benchmarks.bare_loop import BareLoop, LoopResult
from benchmarks.corpus import find_photos, make_batch
from benchmarks.photos import make_photos, make_small_photos
from benchmarks.server import ServerProcess
from benchmarks.watching import measure_watching
from imgsvc.client import Client

PHOTOS, SMALL = Path("build/photos"), Path("build/small-photos")
MAX_BYTES_APART = 0.05
"""How far the two sides' output bytes may differ before we no longer believe the comparison."""


class NotComparable(Exception):
    """The two sides did not do the same work; the message says in what."""


@dataclass(frozen=True, slots=True)
class Course:
    """What both sides run: `photos` with `preset`."""

    name: str
    preset: str
    variants: int
    photos: Sequence[Path]


@dataclass(frozen=True, slots=True)
class ServiceResult:
    """One batch through the service. cpu_s: of the server process alone."""

    images: int
    output_bytes: int
    elapsed_s: float
    cpu_s: float

    @property
    def images_per_s(self) -> float:
        return self.images / self.elapsed_s


@dataclass(frozen=True, slots=True)
class Comparison:
    course: Course
    loops: Sequence[LoopResult]
    services: Sequence[ServiceResult]
    start_s: float
    server_bytes: int
    worker_bytes: int


def compare(course: Course, folder: Path, *, workers: int, rounds: int) -> Comparison:
    """Loop, service, loop, service…; raises NotComparable when their results differ."""
    loops, services = [], []
    loop = BareLoop(workers, course.preset)
    data_dir = folder / "data"
    with ServerProcess(data_dir, workers) as server:
        _warm_up(server, course, workers)
        for number in range(rounds):
            loops.append(loop.run(course.photos, folder / "loop"))
            shutil.rmtree(folder / "loop")
            services.append(asyncio.run(_serve(server, course, data_dir)))
            _check_alike(loops[-1], services[-1])
            _report_round(course, number, loops[-1], services[-1])
        loop.close()
        peak_bytes = server.peak_bytes()
    shutil.rmtree(data_dir)
    return Comparison(course, loops, services, server.start_s, peak_bytes, server.peak_worker_bytes)


def _warm_up(server: ServerProcess, course: Course, workers: int) -> None:
    """Every worker has loaded libvips before time is taken, as on the other side."""

    async def run() -> None:
        async with Client(server.url) as client:
            job = await client.submit(
                course.photos[: workers * 2], preset=course.preset, reuse=False
            )
            await client.wait(job["id"])
            await client.delete(job["id"])

    asyncio.run(run())


async def _serve(server: ServerProcess, course: Course, data_dir: Path) -> ServiceResult:
    async with Client(server.url) as client:
        cpu_before_s = server.cpu_s()
        begin = time.perf_counter()
        job = await client.submit(course.photos, preset=course.preset, reuse=False)
        job = await client.wait(job["id"])
        elapsed_s = time.perf_counter() - begin
        cpu_s = server.cpu_s() - cpu_before_s
        outputs = [
            output async for image in client.images(job["id"]) for output in image["outputs"]
        ]
        files = await asyncio.to_thread(_file_sizes, data_dir / "jobs" / job["id"] / "out")
        await client.delete(job["id"])
    expected = len(course.photos) * course.variants
    sizes = sorted(output["size_bytes"] for output in outputs)
    _require(job["completed"] == len(course.photos), f"only {job['completed']} were completed")
    _require(len(outputs) == expected, f"{len(outputs)} outputs instead of {expected}")
    _require(sizes == files, "the files on disk are not the outputs that the server names")
    _require(sum(sizes) == job["output_bytes"], "the job's output_bytes is not their sum")
    _require(not any(output["reused"] for output in outputs), "outputs were reused, not made")
    return ServiceResult(len(course.photos), sum(sizes), elapsed_s, cpu_s)


def _file_sizes(folder: Path) -> list[int]:
    return sorted(path.stat().st_size for path in folder.iterdir())


def _check_alike(loop: LoopResult, service: ServiceResult) -> None:
    apart = abs(loop.output_bytes - service.output_bytes) / loop.output_bytes
    _require(
        apart <= MAX_BYTES_APART,
        f"the loop wrote {loop.output_bytes} bytes, the service {service.output_bytes}",
    )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise NotComparable(otherwise)


def _report_round(course: Course, number: int, loop: LoopResult, service: ServiceResult) -> None:
    print(
        f"{course.name}, round {number + 1}: loop {loop.images_per_s:.1f} images/s, "
        f"service {service.images_per_s:.1f} images/s",
        file=sys.stderr,
        flush=True,
    )


def table(comparisons: Sequence[Comparison]) -> str:
    """The figures as Markdown, one column for each comparison."""
    rows: list[tuple[str, list[str]]] = [
        ("images", [f"{len(c.course.photos):,}" for c in comparisons]),
        ("input", [f"{_input_bytes(c) / 1e6:,.0f} MB" for c in comparisons]),
        ("preset", [f"`{c.course.preset}`" for c in comparisons]),
        ("bare libvips loop", [f"{_median_loop(c):,.1f} images/s" for c in comparisons]),
        ("imgsvc, upload included", [f"{_median_service(c):,.1f} images/s" for c in comparisons]),
        (
            "**ratio**",
            [f"**{100 * _median_service(c) / _median_loop(c):.0f} %**" for c in comparisons],
        ),
        ("server's CPU time per image", [f"{_cpu_ms(c):.2f} ms" for c in comparisons]),
        ("server's peak memory", [f"{c.server_bytes / 2**20:,.0f} MiB" for c in comparisons]),
        ("largest worker's peak", [f"{c.worker_bytes / 2**20:,.0f} MiB" for c in comparisons]),
        ("start until ready", [f"{c.start_s:.2f} s" for c in comparisons]),
    ]
    lines = ["| | " + " | ".join(c.course.name for c in comparisons) + " |"]
    lines.append("| --- |" + " ---: |" * len(comparisons))
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows]
    return "\n".join(lines)


def _median_loop(comparison: Comparison) -> float:
    return statistics.median(loop.images_per_s for loop in comparison.loops)


def _median_service(comparison: Comparison) -> float:
    return statistics.median(service.images_per_s for service in comparison.services)


def _cpu_ms(comparison: Comparison) -> float:
    return statistics.median(1000 * s.cpu_s / s.images for s in comparison.services)


def _input_bytes(comparison: Comparison) -> int:
    return sum(path.stat().st_size for path in comparison.course.photos)


def run(arguments: argparse.Namespace, folder: Path) -> str:
    """Everything, in `folder`; returns the table."""
    photos = find_photos(arguments.corpus) if arguments.corpus else make_photos(PHOTOS, 24)
    courses = [Course("photos", "standard", 3, make_batch(photos, arguments.images, folder / "a"))]
    if arguments.small:
        small = make_batch(make_small_photos(SMALL, 40), arguments.small, folder / "b")
        courses.append(Course("small images", "thumbnail", 1, small))
    comparisons = [
        compare(course, folder, workers=arguments.workers, rounds=arguments.rounds)
        for course in courses
    ]
    heading = (
        f"{arguments.workers} workers on {os.cpu_count()} CPUs, {platform.machine()}, "
        f"Python {platform.python_version()}, medians of {arguments.rounds} rounds\n"
    )
    parts = [heading, table(comparisons)]
    if not arguments.speed_only:
        parts += ["", around.table(_measure_around(arguments, courses[0].photos, folder))]
    return "\n".join(parts)


def _measure_around(
    arguments: argparse.Namespace, photos: Sequence[Path], folder: Path
) -> list[around.Row]:
    workers, rounds = arguments.workers, arguments.rounds
    measures: tuple[Callable[[], list[around.Row]], ...] = (
        lambda: ways_in.measure_uploads(folder, workers, rounds),
        lambda: ways_in.measure_urls(make_small_photos(SMALL, 40), folder, workers),
        lambda: ways_in.measure_list(folder, workers, rounds),
        lambda: around.measure_reruns(photos, folder, workers),
        lambda: around.measure_archive(folder, workers),
        lambda: around.measure_readers(photos, folder, workers, rounds),
        lambda: around.measure_lists(folder, workers),
        lambda: measure_watching(photos, folder, workers),
    )
    rows: list[around.Row] = []
    for measure in measures:
        rows += measure()
        what, figure = rows[-1]
        print(f"{what}: {figure}", file=sys.stderr, flush=True)
    return rows


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description="Measure the service against a bare libvips loop."
    )
    parser.add_argument("--corpus", type=Path, help="folder of JPEG and PNG files (generated)")
    parser.add_argument("--images", type=int, default=200, help="photos in a batch (200)")
    parser.add_argument("--small", type=int, default=2000, help="small images in a batch (2000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of either side (3)")
    parser.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), help="processes (CPUs)"
    )
    parser.add_argument(
        "--speed-only", action="store_true", help="only the comparison with libvips"
    )
    parser.add_argument("--scratch", type=Path, help="where the files of the run go (/tmp)")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="imgsvc-bench-", dir=arguments.scratch) as scratch:
        try:
            print(run(arguments, Path(scratch)))
        except NotComparable as exc:
            print(f"The two sides are not comparable: {exc}.", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
