"""A note of an unfinished submission, by which the same one can be taken up again."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any, Self

from imgsvc.client.errors import JournalBusy, translating

Kind = tuple[str, int]
"""The name of an image and its size in bytes."""


class Journal:
    """Give one to `Client.submit`, and once more after an interruption; `forget` it at the end.

    It says which job the images go to and which of them go together. What has arrived it does
    not say: the server knows that best. All methods block for a moment. Where they raise
    LocalFileError nothing has changed but what a later try puts right. One process at a time has
    a journal open.

    key: names the submission to the server. begun_at: seconds since 1970.
    job_id: None until there is a job. groups: what was on its way together, by the key that
        went with it: name and size in bytes of each image.
    """

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path = path
        self._file = file
        self._turn = threading.Lock()
        lines = [_parse(line) for line in file.readall().splitlines()]
        known = {key: value for line in lines for key, value in line.items()}
        self.key = str(known.get("key") or "")
        self.begun_at = float(known.get("begun_at") or 0.0)
        self.job_id: str | None = known.get("job_id") or None
        self.groups = {line["group"]: _kinds_of(line) for line in lines if "group" in line}
        if not self.key:
            self.begin_anew()

    @classmethod
    def open(cls, path: Path) -> Self:
        """The journal at `path`, a new one if there is none.

        Raises JournalBusy when another process has it open, LocalFileError.
        """
        with translating(path), ExitStack() as failing:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = failing.enter_context(path.open("ab+", buffering=0))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                raise JournalBusy(path) from exc
            file.seek(0)
            journal = cls(path, file)
            failing.pop_all()
        return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Keep it for another time; after `forget` there is nothing to keep."""
        self._file.close()

    def begin_anew(self) -> None:
        """The submission that stands here is over, or gone: this is another one."""
        key, begun_at = str(uuid.uuid4()), time.time()
        with translating(self.path):
            self._file.truncate(0)
        self._append({"key": key, "begun_at": begun_at})
        self.key, self.begun_at, self.job_id, self.groups = key, begun_at, None, {}

    def note_job(self, job_id: str) -> None:
        self._append({"job_id": job_id})
        self.job_id = job_id

    def note_group(self, kinds: Sequence[Kind]) -> str:
        """Before these images are sent together: the key to send them with."""
        key = str(uuid.uuid4())
        with self._turn:
            self._append({"group": key, "images": kinds})
            self.groups[key] = list(kinds)
        return key

    def forget(self) -> None:
        """The submission is finished."""
        with translating(self.path):
            self.path.unlink(missing_ok=True)

    def _append(self, facts: dict[str, Any]) -> None:
        """A line of its own, which begins it: one that is torn takes no other with it."""
        rest = memoryview(f"\n{json.dumps(facts)}".encode())
        with translating(self.path):
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())


def _kinds_of(line: dict[str, Any]) -> list[Kind]:
    return [(name, size_bytes) for name, size_bytes in line["images"]]


def _parse(line: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(line)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
