"""The server's answers as they come: see the HTTP API for what each key means.

Absent facts are None, times RFC 3339 strings in UTC, `progress` a percentage.
"""

from __future__ import annotations

from typing import Any, TypedDict


class ImageProblem(TypedDict):
    """Why an image failed, or what was done otherwise than asked."""

    code: str
    message: str


class Output(TypedDict):
    """One finished file."""

    variant: str
    format: str
    width: int
    height: int
    frames: int
    size_bytes: int
    sha256: str
    reused: bool
    url: str


class Analysis(TypedDict):
    """dominant_colour: `#rrggbb`. thumbhash: a placeholder, in base64."""

    dominant_colour: str
    has_alpha: bool
    thumbhash: str


class Image(TypedDict):
    """One input of a job, and what became of it."""

    id: str
    index: int
    name: str
    status: str
    attempts: int
    source: dict[str, str | None]
    error: ImageProblem | None
    last_error: ImageProblem | None
    warnings: list[ImageProblem]
    analysis: Analysis | None
    input: dict[str, Any]
    outputs: list[Output]
    started_at: str | None
    finished_at: str | None
    duration_ms: int | None


class Job(TypedDict):
    """One submission."""

    id: str
    status: str
    label: str | None
    priority: str
    preset: str | None
    recipe: dict[str, Any]
    open: bool
    source: str
    total: int
    completed: int
    failed: int
    cancelled: int
    progress: float
    eta_s: float | None
    input_bytes: int
    output_bytes: int
    errors: dict[str, int]
    created_at: str
    started_at: str | None
    finished_at: str | None
    expires_at: str | None
    links: dict[str, str]


JOB_KEY = "total"
"""Tells a job from what other programs say."""


class Accepted(TypedDict):
    """An image that an open job has taken."""

    index: int
    name: str


class Delivery(TypedDict):
    """A message to a job's webhook. last_error: a code; `disabled` is what a receiver that
    has said to be gone makes of `status`.
    """

    id: str
    job_id: str
    event: str
    receiver: str
    status: str
    attempts: int
    next_attempt_at: str | None
    last_status: int | None
    last_error: str | None
    created_at: str
    delivered_at: str | None


class Preset(TypedDict):
    """A recipe with a name; built-in ones are read-only and have no `updated_at`."""

    name: str
    readonly: bool
    recipe: dict[str, Any]
    updated_at: str | None


class Watermark(TypedDict):
    """A picture to be laid over others; `sha256` is that of the PNG which is kept."""

    name: str
    width: int
    height: int
    size_bytes: int
    sha256: str
    updated_at: str


ProgressMessage = dict[str, Any]
"""One progress message: `type` is snapshot, image, job or end; `seq` rises, and is
None where no WebSocket gets through."""

FINAL_STATUSES = frozenset({"completed", "partial", "failed", "cancelled"})
"""Statuses of a job to which nothing more happens by itself."""
