"""How fast jobs get on, learned from what is finished, and when they will be done.

Work is measured in predicted milliseconds of one worker. How many of them a job really
gets through in a second of ours depends on the machine, the number of workers and what else
they do; recent seconds say most about the next ones. Where images come from hosts, the
slower of the two counts: the work, or their coming.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import monotonic

from imgsvc.domain.image import Image
from imgsvc.domain.job import Job, JobChange
from imgsvc.domain.states import ImageState, JobState

MEMORY_S = 30.0
"""What was done this long ago counts a third (1/e) of what is done now."""

_DONE = frozenset({ImageState.COMPLETED, ImageState.FAILED})


class Paces:
    """The pace of every job that is being worked on; nothing is kept of the others."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._paces: dict[str, _JobPace] = {}

    def follow(self, changes: Sequence[JobChange]) -> None:
        """Called with the changes of a commit, in the order of commits."""
        now_s = self._clock()
        for change in changes:
            job = change.job
            if change.deleted or job.state is not JobState.PROCESSING:
                self._paces.pop(job.id, None)
                continue
            pace = self._paces.get(job.id)
            if pace is None:
                pace = self._paces[job.id] = _JobPace(now_s, job)
            pace.note(now_s, change)

    def remaining_s(self, job: Job) -> float | None:
        """Seconds until every image that the job has now is final, 0.0 when all are.

        None while that is unknown: before the job's first image since the server's start.
        """
        is_begun = job.state is JobState.PROCESSING
        if job.state.is_final or (is_begun and not job.remaining_ms and not job.unfetched):
            return 0.0
        pace = self._paces.get(job.id)
        remaining_s = pace.remaining_s(self._clock(), job) if pace else None
        return None if remaining_s is None else round(remaining_s, 1)


def _done_ms(image: Image) -> int:
    return image.cost_ms if image.state in _DONE else 0


class _JobPace:
    """How fast a job's work is done, in predicted milliseconds, and how fast its images come
    from hosts, or fail to.
    """

    def __init__(self, now_s: float, job: Job) -> None:
        self._work = _Pace(now_s)
        self._arrivals = _Pace(now_s)
        self._unfetched = job.unfetched

    def note(self, now_s: float, change: JobChange) -> None:
        job = change.job
        done_ms = sum(_done_ms(changed.image) for changed in change.images)
        self._work.note(now_s, done_ms, has_more=job.remaining_ms > 0)
        arrived = max(self._unfetched - job.unfetched, 0)  # an append, or a retry, brings more
        self._arrivals.note(now_s, arrived, has_more=job.unfetched > 0)
        self._unfetched = job.unfetched

    def remaining_s(self, now_s: float, job: Job) -> float | None:
        """None while one of the two is unknown."""
        work_s = self._work.seconds_for(job.remaining_ms, now_s)
        arrivals_s = self._arrivals.seconds_for(job.unfetched, now_s)
        return None if work_s is None or arrivals_s is None else max(work_s, arrivals_s)


class _Pace:
    """Two sums that fade alike: what was done, and seconds in which there was something to do."""

    def __init__(self, now_s: float) -> None:
        self._at_s = now_s
        self._done = 0.0
        self._span_s = 0.0
        self._is_busy = True

    def note(self, now_s: float, done: int, *, has_more: bool) -> None:
        self._done, self._span_s = self._faded(now_s)
        self._done += done
        self._at_s = now_s
        self._is_busy = has_more

    def seconds_for(self, left: int, now_s: float) -> float | None:
        """How long it takes to do what is left; None when nothing was done yet."""
        if left == 0:
            return 0.0
        done, span_s = self._faded(now_s)
        return left * span_s / done if done > 0 and span_s > 0 else None

    def _faded(self, now_s: float) -> tuple[float, float]:
        if not self._is_busy:  # an open job that waits for images gets no slower by it
            return self._done, self._span_s
        keep = math.exp((self._at_s - now_s) / MEMORY_S)
        return self._done * keep, self._span_s * keep + MEMORY_S * (1 - keep)
