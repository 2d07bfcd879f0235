"""Where this machine notes unfinished submissions, so that the same command can go on."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from imgsvc.client import Journal, JournalBusy, LocalFileError

KEPT_S = 7 * 24 * 3600
"""A submission that nobody took up again for so long is forgotten."""


def open_journal(identity: Sequence[object]) -> Journal | None:
    """The journal of a command: `identity` is what makes it the same command. Blocking.

    None where there can be none: another process is at the same command, or the user's
    folder for such notes cannot be written.
    """
    path = _path_of(identity)
    _drop_old(path.parent)
    try:
        return Journal.open(path)
    except (JournalBusy, LocalFileError):
        return None


def find_job(identity: Sequence[object]) -> str | None:
    """The job that a command would go on with. Blocking."""
    path = _path_of(identity)
    with suppress(JournalBusy, LocalFileError, OSError):
        if path.exists():
            with Journal.open(path) as journal:
                return journal.job_id
    return None


def place_watch_journal(identity: Sequence[object]) -> Path:
    """Where it is noted what a `watch` without an out folder has taken."""
    return _state_folder() / "watches" / f"{_digest(identity)}.jsonl"


def _path_of(identity: Sequence[object]) -> Path:
    return _state_folder() / "submits" / f"{_digest(identity)}.jsonl"


def _digest(identity: Sequence[object]) -> str:
    text = json.dumps(identity, default=str)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _state_folder() -> Path:
    """XDG Base Directory Specification: state that is not worth a backup."""
    given = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".local" / "state") / "imgsvc"


def _drop_old(folder: Path) -> None:
    with suppress(OSError):
        for path in folder.glob("*.jsonl"):
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - KEPT_S:
                    path.unlink()
