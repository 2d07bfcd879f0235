"""Domain objects for tests, with sensible values wherever a test does not care."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from imgsvc.domain.ids import new_id
from imgsvc.domain.image import Image, SourceKind
from imgsvc.domain.job import ImageChange, Job, JobChange
from imgsvc.domain.states import ImageState, JobState, Priority

_JOB = Job(
    id="",
    state=JobState.PENDING,
    label=None,
    priority=Priority.NORMAL,
    preset="standard",
    recipe='{"variants":[{"name":"v"}]}',
    open=False,
    hidden=False,
    source="api",
    total=3,
    completed=0,
    failed=0,
    cancelled=0,
    input_bytes=0,
    output_bytes=0,
    errors={},
    reuse=True,
    analyze=True,
    retain_s=0,
    remaining_ms=0,
    seq=0,
    created_at=1_000,
    started_at=None,
    finished_at=None,
    expires_at=None,
)

_IMAGE = Image(
    job_id="",
    index=0,
    id="",
    name="a.jpg",
    state=ImageState.PENDING,
    attempts=0,
    claim=0,
    kind=SourceKind.UPLOAD,
    url=None,
    path=None,
    size_bytes=1_000,
    sha256=None,
    error=None,
    last_error=None,
    warnings=(),
    input=None,
    outputs=(),
    memory_bytes=None,
    started_at=None,
    finished_at=None,
    duration_ms=None,
)


def make_job(**fields: Any) -> Job:
    return replace(_JOB, **{"id": new_id(), **fields})


def make_image(**fields: Any) -> Image:
    return replace(_IMAGE, **{"id": new_id(), "job_id": new_id(), **fields})


def change_images(job: Job, *images: Image) -> JobChange:
    """What the store would say after it changed these images of the job."""
    changes = tuple(ImageChange(job.seq + n, image) for n, image in enumerate(images, 1))
    return JobChange(replace(job, seq=job.seq + len(images) + 1), changes)
