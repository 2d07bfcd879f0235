"""Full load for minutes: do memory, open files, the database's log or the disk grow?

`python -m benchmarks.soak --minutes 5`. The exit code is 1 when something grows without bound, or
when anything else went wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hosts import ADDRESSES, BareHost
from benchmarks.photos import make_photos, make_small_photos
from benchmarks.server import ServerProcess
from benchmarks.soak_clients import Clients

SAMPLE_S = 2.0
MIB = 1 << 20

SETTINGS = {
    "IMGSVC_STORAGE__RESERVE_BYTES": "0",
    "IMGSVC_FETCH__ALLOW_PRIVATE": "true",
    "IMGSVC_LOG__LEVEL": "warning",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """At one moment. Sizes in bytes; those of the workers are of all together."""

    at_s: float
    server: int
    workers: int
    files: int
    wal: int
    disk: int


@dataclass(frozen=True, slots=True)
class Measure:
    """What is looked at. slack: growth in half of the time that means nothing yet.

    most: what it never exceeds; None where there is no such limit.
    """

    name: str
    of: Callable[[Sample], int]
    unit: int
    slack: int
    most: int | None = None


MEASURES = (
    Measure("server memory, MiB", lambda s: s.server, MIB, 8 * MIB),
    Measure("workers' memory, MiB", lambda s: s.workers, MIB, 32 * MIB),
    Measure("open files of the server", lambda s: s.files, 1, 16),
    Measure("log of the database, MiB", lambda s: s.wal, MIB, 32 * MIB, 128 * MIB),
    Measure("data folder, MiB", lambda s: s.disk, MIB, 32 * MIB),
)


async def watch(server: ServerProcess, data_dir: Path, seconds: float) -> list[Sample]:
    """A sample every SAMPLE_S for so long."""
    clock = asyncio.get_running_loop().time
    begun_s, samples = clock(), []
    while (at_s := clock() - begun_s) < seconds:
        samples.append(await asyncio.to_thread(_take, server, data_dir, at_s))
        await asyncio.sleep(SAMPLE_S)
    return samples


def _take(server: ServerProcess, data_dir: Path, at_s: float) -> Sample:
    return Sample(
        at_s,
        server.resident_bytes(),
        server.workers_bytes(),
        server.open_files(),
        _size(data_dir / "imgsvc.db-wal"),
        sum(_size(Path(folder, name)) for folder, _, names in os.walk(data_dir) for name in names),
    )


def _size(path: Path) -> int:
    """0 for what is gone meanwhile."""
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


def grows(measure: Measure, samples: Sequence[Sample]) -> bool:
    """Whether the second half rises steadily by more than a tenth and the slack, or any sample is
    above the limit. The first half is for warming up.
    """
    if measure.most is not None and max(map(measure.of, samples)) > measure.most:
        return True
    half = samples[len(samples) // 2 :]
    values = [measure.of(sample) for sample in half]
    rise = statistics.linear_regression([sample.at_s for sample in half], values).slope
    growth = rise * (half[-1].at_s - half[0].at_s)
    return growth > 0.1 * statistics.median(values) + measure.slack


def table(samples: Sequence[Sample]) -> str:
    """Each as the median of what is around the start, the middle and the end."""
    places = (0.15, 0.5, 1.0)
    around = max(1, len(samples) // 10)
    lines = [
        "| | start | middle | end | most | |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for measure in MEASURES:
        cells = []
        for place in places:
            end = max(around, round(len(samples) * place))
            near = [measure.of(sample) for sample in samples[end - around : end]]
            cells.append(f"{statistics.median(near) / measure.unit:.0f}")
        cells.append(f"{max(map(measure.of, samples)) / measure.unit:.0f}")
        cells.append("GROWS" if grows(measure, samples) else "")
        lines.append(f"| {measure.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


async def soak(folder: Path, minutes: float, workers: int) -> int:
    photos = make_small_photos(folder / "small", 24) + make_photos(folder / "large", 3)
    data_dir = folder / "data"
    with (
        BareHost("serve", folder / "small") as host,
        ServerProcess(data_dir, workers, SETTINGS) as server,
    ):
        urls = [
            f"http://{ADDRESSES[number % 8]}:{host.port}/{photo.name}"
            for number, photo in enumerate(sorted((folder / "small").iterdir())[:20])
        ]
        clients = Clients(server.url, urls, photos)
        samples, _ = await asyncio.gather(
            watch(server, data_dir, minutes * 60), clients.run(minutes * 60)
        )
        log = server.log_tail()
    for what, count in sorted(clients.done.items()):
        print(f"{count:>8}  {what}")
    print(f"\n{table(samples)}")
    wrong = [what for what in clients.done if what.startswith("WRONG")]
    if wrong:
        print(f"\nThe server's log ends with\n{log}", file=sys.stderr)
    return int(bool(wrong) or any(grows(measure, samples) for measure in MEASURES))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imgsvc-soak-") as folder:
        return asyncio.run(soak(Path(folder), options.minutes, options.workers))


if __name__ == "__main__":
    sys.exit(main())
