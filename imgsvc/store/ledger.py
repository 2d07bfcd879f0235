"""A job's counters after a change to its images: pure arithmetic, kept in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from imgsvc.domain.image import Image
from imgsvc.domain.job import ImageChange, Job, JobChange
from imgsvc.domain.states import ImageState, JobState, Priority, final_job_state


def count_final(job: Job, images: Sequence[Image]) -> Job:
    """After `images`, none of which was final before, have become what they are now."""
    states = Counter(image.state for image in images)
    return replace(
        job,
        completed=job.completed + states[ImageState.COMPLETED],
        failed=job.failed + states[ImageState.FAILED],
        cancelled=job.cancelled + states[ImageState.CANCELLED],
        output_bytes=job.output_bytes
        + sum(output.size_bytes for image in images for output in image.outputs),
        errors=_add(job.errors, Counter(i.error.code.value for i in images if i.error)),
        remaining_ms=job.remaining_ms - sum(i.cost_ms for i in images if i.state.is_final),
        unfetched=job.unfetched - sum(i.lacks_bytes for i in images if i.state.is_final),
    )


def count_new(job: Job, images: Sequence[Image]) -> Job:
    """After `images` were added; those that failed on the way in are final already."""
    grown = replace(
        job,
        total=job.total + len(images),
        input_bytes=job.input_bytes + sum(image.size_bytes or 0 for image in images),
        remaining_ms=job.remaining_ms + sum(image.cost_ms for image in images),
        unfetched=job.unfetched + sum(image.lacks_bytes for image in images),
    )
    return count_final(grown, images)


def count_fetched(job: Job, images: Sequence[Image], guessed_ms: int) -> Job:
    """After the bytes of images have come. guessed_ms: the cost of all of them as it was before."""
    return replace(
        job,
        input_bytes=job.input_bytes + sum(image.size_bytes or 0 for image in images),
        remaining_ms=job.remaining_ms + sum(image.cost_ms for image in images) - guessed_ms,
        unfetched=job.unfetched - len(images),
    )


def reopen(job: Job, images: Sequence[Image], codes: Mapping[str, int], cancelled: int) -> Job:
    """After failed images (how many of each error code) and cancelled ones wait again."""
    final = job.state.is_final
    return replace(
        job,
        state=JobState.PROCESSING if final else job.state,
        failed=job.failed - sum(codes.values()),
        cancelled=job.cancelled - cancelled,
        errors=_add(job.errors, {code: -count for code, count in codes.items()}),
        remaining_ms=job.remaining_ms + sum(image.cost_ms for image in images),
        unfetched=job.unfetched + sum(image.lacks_bytes for image in images),
        finished_at=None,
        expires_at=None,
    )


def start(job: Job, now_ms: int) -> Job:
    """After one of its images was dispatched."""
    started_at = now_ms if job.started_at is None else job.started_at
    return replace(job, state=JobState.PROCESSING, started_at=started_at)


def settle(job: Job, now_ms: int) -> Job:
    """Final, if it is closed and every image is; a job that is final already stays as it is."""
    if job.open or job.state.is_final or job.finished_images < job.total:
        return job
    state = final_job_state(
        total=job.total, completed=job.completed, failed=job.failed, cancelled=job.cancelled
    )
    expires_at = now_ms + job.retain_s * 1000 if job.retain_s else None
    return replace(job, state=state, finished_at=now_ms, expires_at=expires_at)


def number(job: Job, images: Sequence[Image]) -> JobChange:
    """Give every changed image, in index order, and then the job the next `seq`."""
    ordered = sorted(images, key=lambda image: image.index)
    changes = tuple(ImageChange(seq, image) for seq, image in enumerate(ordered, start=job.seq + 1))
    return JobChange(replace(job, seq=job.seq + len(changes) + 1), changes)


def _add(errors: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    totals = dict(errors)
    for code, count in more.items():
        totals[code] = totals.get(code, 0) + count
    return {code: count for code, count in totals.items() if count}


class Pending(NamedTuple):
    """What a job has of images that are not final. unfetched: how many of them lack their bytes."""

    priority: Priority
    images: int
    unfetched: int


class PendingTally:
    """How many images of all jobs are not final, kept beside the database.

    Built once from the unfinished jobs, then fed with every commit's changes.
    """

    def __init__(self, unfinished: Mapping[str, Pending]) -> None:
        self._by_job = dict(unfinished)
        self._images = dict.fromkeys(Priority, 0)
        self._unfetched = dict.fromkeys(Priority, 0)
        for pending in self._by_job.values():
            self._add(pending, 1)

    @property
    def total(self) -> int:
        return sum(self._images.values())

    @property
    def jobs(self) -> int:
        """Jobs that have such images."""
        return len(self._by_job)

    def of(self, priority: Priority) -> tuple[int, int]:
        """Images of jobs of a priority, and how many of them lack their bytes."""
        return self._images[priority], self._unfetched[priority]

    def update(self, changes: Sequence[JobChange]) -> None:
        for change in changes:
            job = change.job
            if (before := self._by_job.pop(job.id, None)) is not None:
                self._add(before, -1)
            left = 0 if change.deleted else job.total - job.finished_images
            if left:
                self._by_job[job.id] = Pending(job.priority, left, job.unfetched)
                self._add(self._by_job[job.id], 1)

    def _add(self, pending: Pending, times: int) -> None:
        self._images[pending.priority] += times * pending.images
        self._unfetched[pending.priority] += times * pending.unfetched
