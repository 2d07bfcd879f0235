"""Files copied, moved in, appended slowly, overwritten, renamed and deleted under a server that
watches their folder and is killed now and then: in the end every final content was processed
once, and its result is the one that stands there.

`python -m tests.folders.stress --writers 8 --steps 200 --kills 10` prints what it found.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image

from tests.pictures import make_jpeg
from tests.server_process import ServerProcess

SIDES = range(20, 200)
"""Every content has a size of its own, which the preset leaves as it is."""

PATIENCE_S = 90


@dataclass
class Report:
    """What became of everything. The last four should be 0.

    missing: files without a result. wrong: results of another content than the last one.
    repeated: contents of a file that were processed more than once. failed: images that were.
    """

    kills: int = 0
    contents: int = 0
    files: int = 0
    images: int = 0
    missing: int = 0
    wrong: int = 0
    repeated: int = 0
    failed: int = 0

    @property
    def faults(self) -> int:
        return self.missing + self.wrong + self.repeated + self.failed


class Contents:
    """Pictures, no two alike."""

    def __init__(self) -> None:
        self._numbers = count()
        self._lock = threading.Lock()
        self.made = 0

    def make(self) -> bytes:
        with self._lock:
            number = next(self._numbers)
            self.made += 1
        return make_jpeg(SIDES[number % len(SIDES)], SIDES[number // len(SIDES)])


class Writer(threading.Thread):
    """Does something to files of its own, again and again."""

    def __init__(self, number: int, folder: Path, steps: int, contents: Contents) -> None:
        super().__init__(name=f"writer-{number}")
        self._dice = random.Random(number)  # noqa: S311 - repeatable, not secret
        self._folder = folder
        self._own = folder / f"writer {number}"
        self._number = number
        self._steps = steps
        self._contents = contents
        self._names = count()
        self._files: list[Path] = []

    def run(self) -> None:
        acts = (self._copy, self._move_in, self._append, self._overwrite, self._overwrite,
                self._rename, self._delete)  # fmt: skip
        for _ in range(self._steps):
            self._dice.choice(acts)()
            time.sleep(self._dice.random() / 10)

    def _copy(self) -> None:
        self._write(self._new_path(), pause_s=0.005)

    def _append(self) -> None:
        self._write(self._new_path(), pause_s=self._dice.random() / 2)

    def _move_in(self) -> None:
        path = self._new_path()
        aside = self._folder.with_name(f"aside-{self._number}")
        aside.write_bytes(self._contents.make())
        aside.replace(path)

    def _overwrite(self) -> None:
        if self._files:
            self._write(self._dice.choice(self._files), pause_s=self._dice.random() / 10)

    def _rename(self) -> None:
        if self._files:
            path = self._files.pop(self._dice.randrange(len(self._files)))
            path.rename(self._new_path())

    def _delete(self) -> None:
        if len(self._files) > 3:
            self._files.pop(self._dice.randrange(len(self._files))).unlink()

    def _new_path(self) -> Path:
        below = self._own / f"d{self._dice.randrange(3)}"
        below.mkdir(parents=True, exist_ok=True)
        path = below / f"{next(self._names)}-{self._number}.jpg"
        self._files.append(path)
        return path

    def _write(self, path: Path, pause_s: float) -> None:
        """In place, piece by piece."""
        content = self._contents.make()
        step = len(content) // 4
        with path.open("wb", buffering=0) as file:
            for start in range(0, len(content), step):
                file.write(content[start : start + step])
                time.sleep(pause_s)


def stress(
    base: Path, *, writers: int, steps: int, kills: int, polling: bool = False, seed: int = 1
) -> Report:
    """Blocking, for as long as it takes."""
    dice = random.Random(seed)  # noqa: S311
    root, out = base / "in", base / "out"
    root.mkdir()
    report, contents = Report(), Contents()
    threads = [Writer(number, root, steps, contents) for number in range(writers)]
    server = _start(base, polling)
    try:
        for thread in threads:
            thread.start()
        for _ in range(kills):
            time.sleep(0.5 + 2 * dice.random())
            server.kill()
            report.kills += 1
            server = _start(base, polling)
        for thread in threads:
            thread.join()
        report.contents = contents.made
        finals = {path.relative_to(root).as_posix(): path for path in root.rglob("*.jpg")}
        _wait_until(lambda: not any(_judge_all(finals, out).values()))
        _check(server, finals, out, report)
    finally:
        for thread in threads:
            thread.join()
        server.stop()
    return report


def _start(base: Path, polling: bool) -> ServerProcess:
    settings = {
        "IMGSVC_FOLDERS__0__PATH": str(base / "in"),
        "IMGSVC_FOLDERS__0__OUT": str(base / "out"),
        "IMGSVC_FOLDERS__0__PRESET": "thumbnail",
        "IMGSVC_FOLDERS__0__POLLING": str(polling).lower(),
    }
    return ServerProcess(base / "data", workers=2, settings=settings)


def _wait_until(holds: Callable[[], bool]) -> None:
    """Or for PATIENCE_S; what is missing then is found by the check."""
    end_s = time.monotonic() + PATIENCE_S
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.1)


def _judge_all(finals: dict[str, Path], out: Path) -> Counter[str]:
    return Counter(_judge(path, out / Path(name).with_suffix(".webp")) for name, path in
                   finals.items()) - Counter({"right": len(finals)})  # fmt: skip


def _judge(source: Path, result: Path) -> str:
    try:
        made = _size_of(result)
    except OSError:
        return "missing"
    return "right" if made == _size_of(source) else "wrong"


def _size_of(path: Path) -> tuple[int, int]:
    with Image.open(io.BytesIO(path.read_bytes())) as picture:
        return picture.size


def _check(server: ServerProcess, finals: dict[str, Path], out: Path, report: Report) -> None:
    verdicts = _judge_all(finals, out)
    report.files = len(finals)
    report.missing, report.wrong = verdicts["missing"], verdicts["wrong"]
    taken: Counter[tuple[str, str]] = Counter()
    for image in _all_images(server):
        report.images += 1
        report.failed += image["status"] == "failed"
        taken[image["name"], image["input"]["sha256"]] += 1
    report.repeated = sum(number - 1 for number in taken.values())
    for name, path in finals.items():
        key = name, sha256(path.read_bytes()).hexdigest()
        report.missing += taken[key] == 0


def _all_images(server: ServerProcess) -> Iterator[dict[str, Any]]:
    url = f"{server.url}/api/v1/images?limit=1000"
    after = ""
    while True:
        with urllib.request.urlopen(url + after) as answer:  # noqa: S310 - our own URL
            page = json.load(answer)
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        after = f"&cursor={page['next_cursor']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--polling", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = stress(Path(folder), **vars(options))
    for name, value in vars(report).items():
        print(f"{name:10} {value}")  # noqa: T201
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
