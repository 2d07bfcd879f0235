"""`python -m tests.hostile --files 2000 --seed 1`: mutated files and bombs, mixed with good
images, against a real server. Or, with `--folder`, every file of a folder of one's own.

Ends with 1 when anything was late, crashed, lost, spoilt or grown; files that brought a crash or
an error of ours to light are kept in the folder `--keep`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from tests.hostile.bombs import make_bombs
from tests.hostile.gauge import Holdings
from tests.hostile.mutator import Specimen, mutate
from tests.hostile.originals import make_good, make_originals
from tests.hostile.siege import Report, Terms, lay_siege


def gather(files: int, seed: int) -> list[Specimen]:
    """So many files, all bombs among them, in no particular order."""
    bombs = make_bombs()[:files]
    specimens = [*bombs, *mutate(make_originals(), files - len(bombs), seed)]
    Random(seed).shuffle(specimens)  # noqa: S311 - repeatable, not secret
    return specimens


def read_folder(folder: Path) -> list[Specimen]:
    """Every file below it; its kind is the folder right below, in which it stands."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder) for path in paths]
    return [
        Specimen("--".join(name.parts), name.parts[0], path.read_bytes())
        for name, path in zip(names, paths, strict=True)
    ]


def tell(report: Report, took_s: float) -> str:
    lines = [
        f"{report.files} hostile files, {report.good} good images in {took_s:.0f} s; the slowest"
        f" took {report.slowest_s:.1f} s",
        _tell_endings(report.endings),
        *(f"  {kind:18} {_tell_endings(report.by_kind[kind])}" for kind in sorted(report.by_kind)),
        *map(_tell_holdings, ("start", "middle", "end"), report.holdings),
        f"peak    server {report.peaks.server_bytes >> 20} MiB, one worker"
        f" {report.peaks.worker_bytes >> 20} MiB, all {report.peaks.workers_bytes >> 20} MiB",
        *report.faults,
    ]
    return "\n".join(lines) + "\n"


def _tell_endings(endings: Counter[str]) -> str:
    return ", ".join(f"{ending} {number}" for ending, number in endings.most_common())


def _tell_holdings(when: str, held: Holdings) -> str:
    return (
        f"{when:7} server {held.server_bytes >> 20} MiB, {held.server_handles} handles,"
        f" {held.server_threads} threads; {held.workers} workers"
        f" {held.workers_bytes >> 20} MiB, at most {held.worker_handles} handles each"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one image")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="where files go that show a fault of ours")
    options = parser.parse_args()
    files, seed = options.files, options.seed
    specimens = read_folder(options.folder) if options.folder else gather(files, seed)
    terms = Terms(timeout_s=options.timeout, workers=options.workers, evidence=options.keep)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as base:
        report = lay_siege(Path(base), specimens, make_good(), terms)
    sys.stdout.write(tell(report, time.monotonic() - began_s))
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
