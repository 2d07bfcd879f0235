"""States of images and jobs, and which may follow which."""

from __future__ import annotations

from enum import StrEnum


class ImageState(StrEnum):
    PENDING = "pending"
    FETCHING = "fetching"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in FINAL_IMAGE_STATES


class JobState(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in FINAL_JOB_STATES


class Priority(StrEnum):
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 is served first."""
        return _RANKS[self]


_RANKS = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}

FINAL_IMAGE_STATES = frozenset(
    {ImageState.COMPLETED, ImageState.FAILED, ImageState.CANCELLED},
)
FINAL_JOB_STATES = frozenset(
    {JobState.COMPLETED, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED},
)

IMAGE_TRANSITIONS: dict[ImageState, frozenset[ImageState]] = {
    ImageState.PENDING: frozenset(
        {ImageState.FETCHING, ImageState.PROCESSING, ImageState.FAILED, ImageState.CANCELLED},
    ),
    ImageState.FETCHING: frozenset({ImageState.PENDING, ImageState.FAILED, ImageState.CANCELLED}),
    ImageState.PROCESSING: frozenset(
        {ImageState.PENDING, ImageState.COMPLETED, ImageState.FAILED, ImageState.CANCELLED},
    ),
    ImageState.COMPLETED: frozenset(),
    ImageState.FAILED: frozenset({ImageState.PENDING}),
    ImageState.CANCELLED: frozenset({ImageState.PENDING}),
}


def final_job_state(*, total: int, completed: int, failed: int, cancelled: int) -> JobState:
    """The state of a closed job whose images are all final.

    An empty job is completed. A job is cancelled when any image was cut off by a
    cancel; failed when nothing was made; partial when something failed.
    """
    if completed + failed + cancelled != total:
        raise ValueError("the job still has images that are not final")
    if cancelled:
        return JobState.CANCELLED
    if failed == 0:
        return JobState.COMPLETED
    return JobState.PARTIAL if completed else JobState.FAILED
