"""Files that are copied, moved in, appended slowly, overwritten, renamed and deleted while the
watching process is killed: in the end every file's last content has been made, and once.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from imgsvc.client import SyncClient
from tests.client.pictures import picture
from tests.server_process import ServerProcess
from tests.watch_process import TIMEOUT_S, WatchProcess, put, results_in, watch_process

STEPS = 60
KILLS = 2
PIECE_S = 0.02


class Crowd:
    """Changes a folder as its users do. A picture's width says which content it is.

    contents: of the files that are there in the end, by name. ever: digests of all contents
    that were ever whole.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.contents: dict[str, int] = {}
        self.ever: set[str] = set()
        self._dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._width = 10
        self._tick = threading.Event()

    def work(self) -> None:
        for step in range(STEPS):
            act = self._dice.choice(
                [self._copy, self._move, self._append, self._overwrite, self._rename, self._delete]
            )
            act(f"{self._dice.choice(['', 'x/', 'y/z/'])}{step}.png")

    def add(self, name: str) -> None:
        """One more, which nobody changes."""
        content = picture("red")
        self.ever.add(hashlib.sha256(content).hexdigest())
        put(self.folder / name, content, is_old=False)

    def _new_content(self, name: str) -> bytes:
        self._width += 1
        content = picture(size=(self._width, 9)) + bytes(3000)  # some more, as cameras add
        self.contents[name] = self._width
        self.ever.add(hashlib.sha256(content).hexdigest())
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        return content

    def _copy(self, name: str) -> None:
        (self.folder / name).write_bytes(self._new_content(name))

    def _move(self, name: str) -> None:
        put(self.folder / name, self._new_content(name), is_old=False)

    def _append(self, name: str) -> None:
        self._write_in_pieces(name, self._new_content(name))

    def _overwrite(self, _: str) -> None:
        if name := self._any():
            self._write_in_pieces(name, self._new_content(name))

    def _rename(self, name: str) -> None:
        if old := self._any():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            self.contents[name] = self.contents.pop(old)
            (self.folder / old).rename(self.folder / name)

    def _delete(self, _: str) -> None:
        if name := self._any():
            del self.contents[name]
            (self.folder / name).unlink()

    def _any(self) -> str | None:
        return self._dice.choice(sorted(self.contents)) if self.contents else None

    def _write_in_pieces(self, name: str, content: bytes) -> None:
        with (self.folder / name).open("wb", buffering=0) as file:
            for start in range(0, len(content), 700):
                file.write(content[start : start + 700])
                self._tick.wait(PIECE_S)


def width_of(path: Path) -> int:
    with Image.open(path) as image:
        return image.width


def result_of(name: str) -> str:
    return f"{name.removesuffix('.png')}.webp"


def is_all_made(crowd: Crowd, out: Path) -> bool:
    there = results_in(out)
    return all(
        result_of(name) in there and width_of(out / result_of(name)) == width
        for name, width in crowd.contents.items()
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / f"crowd-{os.urandom(4).hex()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def stand_out(crowd: Crowd, out: Path, *arguments: str | Path, state: Path, url: str) -> None:
    """Watch while the crowd works, killed now and then; until all is made."""
    worker = threading.Thread(target=crowd.work)
    worker.start()
    for number in range(KILLS):
        crowd.add(f"more-{number}.png")  # the last one may have done all before
        with watch_process(*arguments, state=state, server=url) as watching:
            watching.wait(lambda: watching.documents)
            watching.stop(signal.SIGKILL)
    crowd.add("more.png")
    with watch_process(*arguments, state=state, server=url) as watching:
        worker.join(TIMEOUT_S)
        watching.wait_for("more.png")
        watching.wait(lambda: is_all_made(crowd, out))
        assert watching.stop() == 0
        assert watching.names("failed") == []


def start_again(crowd: Crowd, *arguments: str | Path, state: Path, url: str) -> WatchProcess:
    """Once more over what is done, until it has seen all of it."""
    with watch_process(*arguments, state=state, server=url) as watching:
        put(crowd.folder / "last.png", picture("red"), is_old=False)
        watching.wait_for("last.png")
        return watching


def test_a_server_gets_every_last_content_once(
    server: ServerProcess, folder: Path, tmp_path: Path
) -> None:
    crowd, out, state = Crowd(folder, seed=1), tmp_path / "out", tmp_path / "state"
    arguments = ("watch", folder, "--out", out, "--preset=thumbnail")
    stand_out(crowd, out, *arguments, state=state, url=server.url)
    assert start_again(crowd, *arguments, state=state, url=server.url).names() == ["last.png"]
    with SyncClient(server.url) as client:
        sent = Counter(
            (image["name"], image["input"]["sha256"])
            for job in client.jobs(label=folder.name)
            for image in client.images(job["id"])
        )
    assert {digest for name, digest in sent if name != "last.png"} <= crowd.ever
    assert set(sent.values()) == {1}
    assert not (out / "failures.csv").exists()


def test_a_run_makes_every_last_content(folder: Path, tmp_path: Path) -> None:
    crowd, out, state = Crowd(folder, seed=2), tmp_path / "out", tmp_path / "state"
    arguments = ("run", folder, "--watch", "--out", out, "--preset=thumbnail", "--workers=2")
    stand_out(crowd, out, *arguments, state=state, url="")
    assert start_again(crowd, *arguments, state=state, url="").names() == ["last.png"]
    assert not (out / "failures.csv").exists()
