"""What watching costs: a folder of many files in which nothing happens, and one new file."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.server import ServerProcess
from imgsvc.folders.scan import Folder, Sighting
from imgsvc.folders.watcher import FolderWatcher, watch_folder

FILES, PER_FOLDER = 100_000, 500
IDLE_S = 100.0
"""Long enough for several looks at all of it."""
ARRIVALS = 5

Row = tuple[str, str]


def measure_watching(photos: Sequence[Path], folder: Path, workers: int) -> list[Row]:
    """Both ways of watching an idle folder at once, then new files under a real server."""
    make_files(folder / "idle", FILES)
    told, polled = asyncio.run(_idle_both(folder / "idle"))
    shutil.rmtree(folder / "idle")
    delays_s = _measure_arrivals(photos, folder, workers)
    return [
        (f"watching {FILES:,} idle files by inotify", f"{told:.2f} % of a core"),
        (f"watching {FILES:,} idle files by looking", f"{polled:.2f} % of a core"),
        (
            "from a file's arrival in a folder to its results",
            f"median {statistics.median(delays_s):.2f} s, of which 1 s to see that it is whole",
        ),
    ]


def make_files(folder: Path, number: int) -> None:
    """Old files that nobody has to read."""
    for count in range(number):
        path = folder / str(count // PER_FOLDER) / f"{count}.jpg"
        if count % PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.touch()


async def _idle_both(folder: Path) -> tuple[float, float]:
    """Percent of a core that each way takes once everything is known."""
    return await _idle(folder, polling=False), await _idle(folder, polling=True)


async def _idle(folder: Path, *, polling: bool) -> float:
    known = {sighting.name: sighting.fingerprint for sighting in _scan(folder)}

    def is_known(sighting: Sighting) -> bool:
        return known.get(sighting.name) == sighting.fingerprint

    watcher = watch_folder(Folder(folder), is_known, polling=polling)
    watching = asyncio.create_task(_watch(watcher))
    await asyncio.sleep(10)
    begun_s, cpu_s = time.monotonic(), time.process_time()
    await asyncio.sleep(IDLE_S)
    share = (time.process_time() - cpu_s) / (time.monotonic() - begun_s)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return 100 * share


def _scan(folder: Path) -> list[Sighting]:
    return Folder(folder).scan()


async def _watch(watcher: FolderWatcher) -> None:
    async for batch in watcher.batches():
        raise AssertionError(f"{len(batch)} files are taken for new")


def _measure_arrivals(photos: Sequence[Path], folder: Path, workers: int) -> list[float]:
    """Seconds until all results of a photo that is moved in are there."""
    incoming, out = folder / "incoming", folder / "made"
    incoming.mkdir()
    settings = {"IMGSVC_FOLDERS__0__PATH": str(incoming), "IMGSVC_FOLDERS__0__OUT": str(out)}
    with ServerProcess(folder / "data", workers, settings):
        delays_s = [
            _measure_arrival(photo, incoming / f"{number}{photo.suffix}", out)
            for number, photo in enumerate(photos[:ARRIVALS])
        ]
    for done in (incoming, out, folder / "data"):
        shutil.rmtree(done)
    return delays_s


def _measure_arrival(photo: Path, target: Path, out: Path) -> float:
    part = target.with_name(f".{target.name}")
    shutil.copyfile(photo, part)
    begun_s = time.perf_counter()
    part.replace(target)
    while len(list(out.glob(f"{target.stem}-*.webp"))) < 3:
        time.sleep(0.01)
    return time.perf_counter() - begun_s
