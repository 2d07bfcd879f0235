"""What is known of a file of a watched folder, and of files that were sent together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from imgsvc.folders.scan import Fingerprint

SavedFile = tuple[str, str, str]
"""Variant, format, and where it stands in the out folder, with `/`."""


class State(StrEnum):
    SENT = "sent"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Failure:
    """at_ms: milliseconds since 1970."""

    code: str
    message: str
    at_ms: int


@dataclass(slots=True)
class Entry:
    """A file as it was last taken.

    fingerprint: of what was taken; None when nothing is on its way or done of the file as it
        is now. recipe: what was asked for. batch: what it went with. sha256: of the bytes that
        the server has got, hexadecimal, None where it does not say, or where they are wanted
        again. job_id, index: its image on the server.
    choice: what its results are called (see StableNames); None without an out folder.
    files: what stands there of it, of this content or an earlier one.
    """

    fingerprint: Fingerprint | None
    recipe: str
    batch: str
    state: State = State.SENT
    sha256: str | None = None
    job_id: str | None = None
    index: int | None = None
    failure: Failure | None = None
    choice: str | None = None
    files: tuple[SavedFile, ...] = ()


@dataclass(slots=True)
class Batch:
    """Files that went to the server together, as one job, and are not all dealt with.

    spec: what the job was to be. files: by name. job_id: None until all of it is there.
    images: the names of its images, by index.
    """

    id: str
    recipe: str
    spec: Mapping[str, Any]
    files: dict[str, Fingerprint]
    job_id: str | None = None
    images: dict[int, str] = field(default_factory=dict)


def line_of(name: str, entry: Entry) -> dict[str, Any]:
    return {"event": "entry", "name": name, **asdict(entry)}


def entry_from(facts: Mapping[str, Any]) -> Entry:
    fingerprint, failure = facts["fingerprint"], facts["failure"]
    return Entry(
        fingerprint=tuple(fingerprint) if fingerprint else None,
        recipe=facts["recipe"],
        batch=facts["batch"],
        state=State(facts["state"]),
        sha256=facts["sha256"],
        job_id=facts["job_id"],
        index=facts["index"],
        failure=Failure(**failure) if failure else None,
        choice=facts["choice"],
        files=files_from(facts["files"]),
    )


def files_from(files: Iterable[Sequence[str]]) -> tuple[SavedFile, ...]:
    return tuple((variant, format_, target) for variant, format_, target in files)
