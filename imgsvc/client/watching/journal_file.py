"""The file of a journal: one process has it, and a line that is torn takes no other with it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from imgsvc.client.errors import JournalBusy, LocalFileError


def lock_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def take_lock(path: Path) -> int:
    """A file descriptor that holds the lock of a journal until it is closed.

    Raises JournalBusy, LocalFileError.
    """
    lock = lock_path(path)
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        raise LocalFileError(lock, exc.strerror or "it cannot be written") from exc
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(file)
        raise JournalBusy(path) from exc
    except OSError as exc:
        os.close(file)
        raise LocalFileError(lock, exc.strerror or "it cannot be locked") from exc
    return file


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """A torn line is left out: what it was to say was not done yet, or will be found again."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        for raw in file:
            with suppress(ValueError):
                line = json.loads(raw)
                if isinstance(line, dict):
                    yield line


def write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def is_same_file(file: int, path: Path) -> bool:
    """Whether an open file is the one that stands there; False where that cannot be told."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:  # on a network share an open file can be gone too
        return False


def let_go(file: int) -> None:
    """Close a file, also one that a network share has lost: that is told, but it is closed."""
    with suppress(OSError):
        os.close(file)
