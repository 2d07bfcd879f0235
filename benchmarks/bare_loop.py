"""The yardstick: the same pictures made by libvips alone.

N processes take paths from one queue, make the variants of a preset, and write them. No server,
no database, no upload, no fsync, no limits, no error handling: nothing that makes the pictures
can be faster, and the distance to it is what a service costs.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

_QUALITY = 85
_EFFORT = 4

_Result = tuple[int, int]
"""Files written, and their bytes together."""


@dataclass(frozen=True, slots=True)
class LoopResult:
    images: int
    outputs: int
    output_bytes: int
    elapsed_s: float

    @property
    def images_per_s(self) -> float:
        return self.images / self.elapsed_s


class BareLoop:
    """`workers` processes that stand ready, with libvips loaded, before anything is timed."""

    def __init__(self, workers: int, preset: str) -> None:
        os.environ["VIPS_CONCURRENCY"] = "1"
        spawn = multiprocessing.get_context("spawn")
        self._paths: Queue[tuple[str, str] | None] = spawn.Queue()
        self._results: Queue[_Result] = spawn.Queue()
        self._processes = [
            spawn.Process(target=_work, args=(preset, self._paths, self._results), daemon=True)
            for _ in range(workers)
        ]
        for process in self._processes:
            process.start()
        for _ in self._processes:
            self._results.get(timeout=60)

    def run(self, photos: Sequence[Path], folder: Path) -> LoopResult:
        """Make the variants of every photo in `folder`. Raises queue.Empty if a process dies."""
        folder.mkdir(parents=True, exist_ok=True)
        begin = time.perf_counter()
        for photo in photos:
            self._paths.put((str(photo), str(folder / photo.stem)))
        results = [self._results.get(timeout=120) for _ in photos]
        elapsed_s = time.perf_counter() - begin
        outputs = sum(files for files, _ in results)
        return LoopResult(len(photos), outputs, sum(size for _, size in results), elapsed_s)

    def close(self) -> None:
        for _ in self._processes:
            self._paths.put(None)
        for process in self._processes:
            process.join(timeout=10)


def _work(preset: str, paths: Queue[tuple[str, str] | None], results: Queue[_Result]) -> None:
    import pyvips

    pyvips.cache_set_max(0)
    make = {"standard": _standard, "thumbnail": _thumbnail}[preset]
    results.put((0, 0))
    while task := paths.get():
        path, prefix = task
        results.put(_write(make(pyvips, path), prefix))


def _standard(pyvips: Any, path: str) -> dict[str, Any]:
    base = _shrink(pyvips, path, 800).copy_memory()
    return {
        "standard": base,
        "grayscale": base.colourspace("b-w"),
        "thumbnail": base.thumbnail_image(200, height=200, size="down"),
    }


def _thumbnail(pyvips: Any, path: str) -> dict[str, Any]:
    return {"thumbnail": _shrink(pyvips, path, 200)}


def _shrink(pyvips: Any, path: str, side: int) -> Any:
    header = pyvips.Image.new_from_file(path)
    profile = {"output_profile": "srgb"} if header.get_typeof("icc-profile-data") else {}
    return pyvips.Image.thumbnail(path, side, height=side, size="down", **profile)


def _write(pictures: dict[str, Any], prefix: str) -> _Result:
    size_bytes = 0
    for name, picture in pictures.items():
        output = f"{prefix}-{name}.webp"
        picture.webpsave(output, Q=_QUALITY, effort=_EFFORT, keep="none")
        size_bytes += Path(output).stat().st_size
    return len(pictures), size_bytes
