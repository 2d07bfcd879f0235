"""`python -m tests.hostile.flood`: many pictures of 100 megapixels at once for a server that may
use 1 GiB. All are finished, but those that need more than that alone; the memory of all workers
together stays within the budget, and no worker is lost.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imgsvc.client import Client
from imgsvc.client.upload import FileUpload
from tests.hostile.gauge import Gauge, Holdings, Peaks
from tests.hostile.heavy import LARGEST_SIDE, make_heavy
from tests.server_process import ServerProcess

KINDS = (
    "jpeg", "jpeg-progressive", "png", "png-deep", "png-interlaced", "png-interlaced-alpha",
    "webp", "webp-alpha", "webp-lossless", "tiff-tiled", "tiff-deep", "tiff-one-strip", "ppm",
)  # fmt: skip
TOO_LARGE = frozenset({"ppm"})
"""Kinds of which one picture of 100 megapixels takes more than 1 GiB by itself."""


KEPT_BYTES = 80 << 20
"""That a worker may keep beyond what it began with: libraries that are loaded when they are
needed, and what malloc holds back until it is 64 MiB."""


@dataclass
class Flood:
    """endings: of every kind, how many by `completed` or code. restarts: workers that died.

    before: with nothing to do. peaks: at any moment of the flood.
    """

    budget_bytes: int
    before: Holdings
    endings: dict[str, Counter[str]] = field(default_factory=dict)
    peaks: Peaks = field(default_factory=Peaks)
    restarts: int = 0

    @property
    def used_bytes(self) -> int:
        """By pictures: beyond what the workers have when they are idle."""
        return self.peaks.workers_bytes - self.before.workers_bytes

    def find_faults(self, too_large: frozenset[str] = frozenset()) -> Iterator[str]:
        for kind, endings in self.endings.items():
            expected = "out_of_memory" if kind in too_large else "completed"
            if set(endings) != {expected}:
                yield f"{kind}: {dict(endings)}"
        allowed_bytes = self.budget_bytes + self.before.workers * KEPT_BYTES
        if self.used_bytes > allowed_bytes:
            yield f"{self.used_bytes} bytes were used, {allowed_bytes} were allowed"
        if self.restarts:
            yield f"{self.restarts} workers died"


def flood(
    base: Path, files: Mapping[str, Path], *, copies: int, budget_bytes: int, workers: int = 4
) -> Flood:
    """Every file so many times, in one job. Blocking."""
    settings = {
        "IMGSVC_WORKERS__MEMORY_BYTES": str(budget_bytes),
        "IMGSVC_WORKERS__TIMEOUT_S": "300",
        "IMGSVC_LIMITS__MAX_IMAGE_BYTES": "512MiB",
    }
    server = ServerProcess(base / "data", workers=workers, settings=settings)
    try:
        return asyncio.run(_flood(server, files, copies, budget_bytes))
    finally:
        server.stop()


async def _flood(
    server: ServerProcess, files: Mapping[str, Path], copies: int, budget_bytes: int
) -> Flood:
    gauge = Gauge(server.process.pid)
    async with Client(server.url, agent="flood") as client:
        await client.info()  # answered when a worker is warm
        result = Flood(budget_bytes, gauge.read())
        pids = gauge.list_workers()
        uploads = [FileUpload(path, kind) for kind, path in files.items()] * copies
        with gauge.watching() as result.peaks:
            job = await client.submit(uploads, preset="standard", reuse=False)
            await client.wait(job["id"])
        async for image in client.images(job["id"]):
            ending = image["error"]["code"] if image["error"] else image["status"]
            result.endings.setdefault(image["name"], Counter())[ending] += 1
        result.restarts = len(pids - gauge.list_workers())
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.flood", description=__doc__)
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--side", type=int, default=LARGEST_SIDE)
    parser.add_argument("--budget-mib", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        files = make_heavy(base, options.side, KINDS)
        began_s = time.monotonic()
        result = flood(
            base,
            files,
            copies=options.copies,
            budget_bytes=options.budget_mib << 20,
            workers=options.workers,
        )
    for kind, endings in result.endings.items():
        sys.stdout.write(f"{kind:22} {dict(endings)}\n")
    sys.stdout.write(
        f"{time.monotonic() - began_s:.0f} s; workers {result.before.workers_bytes >> 20} MiB idle,"
        f" at most {result.used_bytes >> 20} MiB more of {options.budget_mib};"
        f" server at most {result.peaks.server_bytes >> 20} MiB; {result.restarts} workers died\n"
    )
    faults = list(result.find_faults(TOO_LARGE))
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
