"""How fast jobs get on, learned from what is finished, and when they will be done.

Work is measured in predicted milliseconds of one worker. How many of them a job really
gets through in a second of ours depends on the machine, the number of workers and what else
they do; recent seconds say most about the next ones.
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
        self._paces: dict[str, _Pace] = {}

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
                pace = self._paces[job.id] = _Pace(now_s)
            done_ms = sum(_done_ms(changed.image) for changed in change.images)
            pace.note(now_s, done_ms, has_more=job.remaining_ms > 0)

    def remaining_s(self, job: Job) -> float | None:
        """Seconds until every image that the job has now is final, 0.0 when all are.

        None while that is unknown: before the job's first image since the server's start.
        """
        if job.state.is_final or (job.state is JobState.PROCESSING and not job.remaining_ms):
            return 0.0
        pace = self._paces.get(job.id)
        per_second = pace.per_second(self._clock()) if pace else 0.0
        return round(job.remaining_ms / per_second, 1) if per_second else None


def _done_ms(image: Image) -> int:
    return image.cost_ms if image.state in _DONE else 0


class _Pace:
    """Two sums that fade alike: work done, and seconds in which there was some."""

    def __init__(self, now_s: float) -> None:
        self._at_s = now_s
        self._done_ms = 0.0
        self._span_s = 0.0
        self._is_busy = True

    def note(self, now_s: float, done_ms: int, *, has_more: bool) -> None:
        self._done_ms, self._span_s = self._faded(now_s)
        self._done_ms += done_ms
        self._at_s = now_s
        self._is_busy = has_more

    def per_second(self, now_s: float) -> float:
        """Predicted milliseconds done in a second; 0.0 when nothing was."""
        done_ms, span_s = self._faded(now_s)
        return done_ms / span_s if span_s > 0 else 0.0

    def _faded(self, now_s: float) -> tuple[float, float]:
        if not self._is_busy:  # an open job that waits for images gets no slower by it
            return self._done_ms, self._span_s
        keep = math.exp((self._at_s - now_s) / MEMORY_S)
        return self._done_ms * keep, self._span_s * keep + MEMORY_S * (1 - keep)
