"""`python -m tests.torture --kills 300 --seed 1`: kill servers, and print what was lost."""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from pathlib import Path

from tests.torture.points import make_schedule
from tests.torture.rounds import torture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=2, help="servers at the same time")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dice = random.Random(options.seed)  # noqa: S311 - repeatable, not secret
        schedule = make_schedule(options.kills, dice)
        seed, lanes, workers = options.seed, options.lanes, options.workers
        work = torture(Path(folder), schedule, seed=seed, lanes=lanes, workers=workers)
        report = asyncio.run(work)
    print(report.table())  # noqa: T201
    raise SystemExit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
