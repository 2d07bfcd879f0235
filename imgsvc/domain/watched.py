"""A file of a watched folder: what was taken of it, and what became of that."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

NOT_SAVED = "not_saved"
"""Code of an image that was made, but whose results cannot stand where they belong."""

UNREADABLE = "unreadable"
"""Code of a file that the disk does not give."""

CANCELLED = "cancelled"
"""Code of an image that somebody did not want any more."""


class FileState(StrEnum):
    TAKEN = "taken"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TakenFile:
    """A file as it becomes part of a job, whose image has that index.

    name: relative to the folder, with `/`, as `os.fsdecode` gives it.
    fingerprint: size, time and inode. sha256: of its bytes, None where they were not read.
    recipe: a digest of what is made of it. choice: what its results are called.
    """

    folder: str
    name: str
    fingerprint: str
    sha256: str | None
    recipe: str
    index: int
    choice: str


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """A file as the store knows it.

    files: its results in the output folder, as relative paths.
    error: code and message; None unless it failed. ended_at: milliseconds since 1970.
    """

    folder: str
    name: str
    fingerprint: str
    sha256: str | None
    recipe: str
    state: FileState
    job_id: str
    index: int
    choice: str
    files: tuple[str, ...]
    error: tuple[str, str] | None
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class FileEnd:
    """What became of a file that was taken. files: None leaves what stands there."""

    file: WatchedFile
    state: FileState
    files: tuple[str, ...] | None = None
    error: tuple[str, str] | None = None
