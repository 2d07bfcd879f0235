"""What dialects share: fewer states than ours, and an image's error as one text."""

from __future__ import annotations

from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.states import ImageState, JobState

_JOB_STATES = {JobState.PARTIAL: "completed", JobState.CANCELLED: "failed"}
_IMAGE_STATES = {ImageState.FETCHING: "processing", ImageState.CANCELLED: "failed"}

JOB_STATUSES = tuple(state.value for state in JobState if state not in _JOB_STATES)
IMAGE_STATUSES = tuple(state.value for state in ImageState if state not in _IMAGE_STATES)
"""Those that are shown."""


def job_status(job: Job) -> str:
    return _JOB_STATES.get(job.state, job.state.value)


def image_status(image: Image) -> str:
    return _IMAGE_STATES.get(image.state, image.state.value)


def image_error(image: Image) -> str | None:
    """Set exactly when the status is `failed`."""
    if image.state is ImageState.CANCELLED:
        return "cancelled"
    return f"{image.error.code}: {image.error.message}" if image.error else None
