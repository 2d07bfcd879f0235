"""An image: one input of a job, and what became of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote_from_bytes, unquote_to_bytes

from imgsvc.domain.picture import Picture
from imgsvc.domain.rendering import (
    AnalysisFacts,
    Failure,
    ImageWarning,
    InputFacts,
    OutputFacts,
    TaskKey,
)
from imgsvc.domain.retries import SUSPECT_AFTER
from imgsvc.domain.states import ImageState


def quote_path(path: os.PathLike[str]) -> str:
    """A path as plain text: names of files need not be UTF-8, what is stored must be."""
    return quote_from_bytes(os.fsencode(path))


def unquote_path(text: str) -> str:
    """The path that `quote_path` was given."""
    return os.fsdecode(unquote_to_bytes(text))


class SourceKind(StrEnum):
    UPLOAD = "upload"
    BASE64 = "base64"
    URL = "url"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class NewImage:
    """An image as intake hands it over: its bytes are on stable storage already.

    id: names the file in the job's folder.
    name: what the client called it; None becomes `image-<index>` when the index is known.
    path: for SourceKind.FILE, the input that is read in place, as `quote_path` spells it.
    url: for SourceKind.URL, where to fetch from.
    fetch_host: who is asked for it, as `host_of` names them; None when nobody is.
    fetch_max_bytes: what may come from there; None for the server's own limit.
    size_bytes, sha256: None while the bytes are not known (an URL not fetched yet).
    failure: set when intake already knows that it cannot be made; it is stored as failed.
    picture: what its first bytes promise, None where they are of no known format.
    cost_ms: predicted milliseconds of one worker.
    """

    id: str
    name: str | None
    kind: SourceKind
    size_bytes: int | None = None
    sha256: str | None = None
    url: str | None = None
    path: str | None = None
    failure: Failure | None = None
    picture: Picture | None = None
    cost_ms: int = 0
    fetch_host: str | None = None
    fetch_max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """An image as the store knows it. Times are milliseconds since 1970.

    attempts: tries begun that count against the retry rules.
    claim: number of dispatches ever made; never reset.
    memory_bytes: what a decode is known to cost, once a worker has refused it for that.
    cost_ms: predicted milliseconds of one worker; 0 where nothing is known.
    fetch_host: who is asked next for its bytes; None where they came with the request.
    fetch_max_bytes: what may come from there; None for the server's own limit.
    fetch_way: how far it was led from host to host, as JSON; None where its own URL comes next.
    analysis: None until completed, and where the job does not want it.
    interruptions: times the server died while the image was being processed, where those with a
        worker at it weigh more; of a suspect, while it was alone.
    has_crashed: whether a try that counts has ended with the death of its worker.
    outputs: in the order of the recipe's variants; empty until completed.
    """

    job_id: str
    index: int
    id: str
    name: str
    state: ImageState
    attempts: int
    claim: int
    kind: SourceKind
    url: str | None
    path: str | None
    size_bytes: int | None
    sha256: str | None
    error: Failure | None
    last_error: Failure | None
    warnings: tuple[ImageWarning, ...]
    input: InputFacts | None
    outputs: tuple[OutputFacts, ...]
    memory_bytes: int | None
    started_at: int | None
    finished_at: int | None
    duration_ms: int | None
    cost_ms: int = 0
    analysis: AnalysisFacts | None = None
    fetch_host: str | None = None
    fetch_max_bytes: int | None = None
    fetch_way: str | None = None
    interruptions: int = 0
    has_crashed: bool = False

    @property
    def is_suspect(self) -> bool:
        """Whether it may be what the server dies of: then nothing runs beside it."""
        return self.interruptions >= SUSPECT_AFTER

    @property
    def lacks_bytes(self) -> bool:
        """Whether they were to come from a host, and have not."""
        return self.fetch_host is not None and self.sha256 is None

    @property
    def is_void(self) -> bool:
        """Whether it failed on the way in, so that there is nothing to make anything of."""
        return self.sha256 is None and self.path is None and self.fetch_host is None

    @property
    def awaits_fetch(self) -> bool:
        return self.state is ImageState.PENDING and self.lacks_bytes

    @property
    def key(self) -> TaskKey:
        """The dispatch that this record shows."""
        return TaskKey(self.job_id, self.index, self.claim)
