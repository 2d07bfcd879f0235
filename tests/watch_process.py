"""Commands that go on until they are stopped, in a process of their own, as users run them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from PIL import Image

from imgsvc.client import SyncClient
from tests.server_process import ServerProcess

TIMEOUT_S = 40

NO_IMAGE = b"this is no image, however long it is looked at, and it never will be one " * 2


class WatchProcess:
    """Started when made, with --json; `documents` are the lines of its stdout, `said` is what
    it says on stderr.
    """

    def __init__(self, *arguments: str | Path, state: Path, server: str = "") -> None:
        self.documents: list[dict[str, Any]] = []
        self.said = ""
        self._news = threading.Condition()
        self._unread = 2
        environment = {"XDG_STATE_HOME": str(state), "IMGSVC_SERVER": server}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "imgsvc", *map(str, arguments), "--json"],
            env={**os.environ, **{name: text for name, text in environment.items() if text}},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream, take), daemon=True)
            for stream, take in (
                (self.process.stdout, self._take_document),
                (self.process.stderr, self._take_words),
            )
        ]
        for reader in self._readers:
            reader.start()

    def wait(self, is_so: Callable[[], object]) -> None:
        """Until something it has written makes it so."""
        with self._news:
            self._news.wait_for(lambda: is_so() or not self._unread, TIMEOUT_S)
            assert is_so(), (self.documents, self.said)

    def wait_for(self, *names: str, status: str = "completed") -> None:
        """Until it is done with these files, once more than before if that was asked before."""
        self.wait(lambda: set(names) <= set(self.names(status)))

    def wait_for_words(self, words: str) -> None:
        self.wait(lambda: words in self.said)

    def names(self, status: str = "completed") -> list[str]:
        return [one["name"] for one in self.documents if one["status"] == status]

    def forget(self) -> None:
        """What it has written so far."""
        with self._news:
            self.documents.clear()
            self.said = ""

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.end()

    def end(self) -> int:
        """Its exit code, once it has ended and all that it has written is read."""
        code = self.process.wait(timeout=TIMEOUT_S)
        for reader in self._readers:
            reader.join(timeout=TIMEOUT_S)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        return code

    def _read(self, stream: IO[str], take: Callable[[str], None]) -> None:
        for line in stream:
            with self._news:
                take(line)
                self._news.notify_all()
        with self._news:
            self._unread -= 1  # what it has written last may stand on the other one
            self._news.notify_all()

    def _take_document(self, line: str) -> None:
        self.documents.append(json.loads(line))

    def _take_words(self, line: str) -> None:
        self.said += line


@contextmanager
def watch_process(*arguments: str | Path, state: Path, server: str = "") -> Iterator[WatchProcess]:
    watching = WatchProcess(*arguments, state=state, server=server)
    try:
        yield watching
    finally:
        watching.stop(signal.SIGKILL)


def put(path: Path, content: bytes, *, is_old: bool = True) -> None:
    """A file that appears whole; an old one need not be watched before it is taken."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    if is_old:
        os.utime(part, (1_700_000_000, 1_700_000_000))
    part.replace(path)


def results_in(out: Path) -> set[str]:
    """Files in it, relative; what the command keeps for itself is no result."""
    found = set()
    for folder, folders, names in os.walk(out):
        folders[:] = [name for name in folders if name != ".imgsvc"]
        found |= {(Path(folder) / name).relative_to(out).as_posix() for name in names}
    return found


def colour_of(path: Path) -> str:
    """The strongest channel of a picture's first pixel."""
    with Image.open(path) as image:
        pixel = image.convert("RGB").getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return ("red", "green", "blue")[pixel.index(max(pixel))]


def failures_in(out: Path) -> list[list[str]]:
    """Rows without the times."""
    text = (out / "failures.csv").read_text(encoding="utf-8")
    return [row[:3] for row in csv.reader(io.StringIO(text))][1:]


def sent_images(server: ServerProcess, folder: Path) -> list[tuple[str, str]]:
    """Name and digest of every image of the jobs that were made for a folder."""
    with SyncClient(server.url) as client:
        return sorted(
            (image["name"], image["input"]["sha256"])
            for job in client.jobs(label=folder.name)
            for image in client.images(job["id"])
        )


def contents_of(folder: Path, *names: str) -> list[tuple[str, str]]:
    return sorted(
        (name, hashlib.sha256((folder / name).read_bytes()).hexdigest()) for name in names
    )


def read_if_there(path: Path) -> str:
    return path.read_text() if path.exists() else ""
