"""Counts what commits and deliveries tell of, for whoever watches the server's metrics.

Of what happened, only that; of what is, only which images are in somebody's hands: at a start
there are none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from imgsvc.domain.ids import created_ms
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job, JobChange
from imgsvc.domain.states import (
    FINAL_IMAGE_STATES,
    FINAL_JOB_STATES,
    ImageState,
    Priority,
)
from imgsvc.domain.webhook import Attempt, DeliveryError, DeliveryState
from imgsvc.errors import ImageErrorCode
from imgsvc.telemetry.metrics import Metrics

_IN_HANDS = frozenset({ImageState.FETCHING, ImageState.PROCESSING})

RENDERED, REUSED = "rendered", "reused"
FETCHED, PUT_OFF = "fetched", "put_off"
_OF_HOSTS = [code.value for code in ImageErrorCode if code.value.startswith("fetch_")]
DELIVERED = "delivered"


class Tally:
    """Feeds the counters of images, jobs, fetches and deliveries."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._hidden: set[str] = set()
        self._in_hands: dict[str, tuple[Priority, dict[int, Image]]] = {}
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """What has not happened yet is 0: a rise from nothing would go unseen."""
        metrics = self._metrics
        for state in FINAL_IMAGE_STATES - {ImageState.FAILED}:
            metrics.images.labels(state.value, "")
        for code in ImageErrorCode:
            metrics.images.labels(ImageState.FAILED.value, code.value)
        for origin in (RENDERED, REUSED):
            metrics.outputs.labels(origin)
            metrics.output_bytes.labels(origin)
        for job_state in FINAL_JOB_STATES:
            metrics.jobs_ended.labels(job_state.value)
        for result in (FETCHED, PUT_OFF, ImageState.CANCELLED.value, *_OF_HOSTS):
            metrics.fetches.labels(result)
        for result in (DELIVERED, *(error.value for error in DeliveryError)):
            metrics.tries.labels(result)
        for delivery_state in set(DeliveryState) - {DeliveryState.PENDING}:
            metrics.deliveries.labels(delivery_state.value)

    @property
    def in_hands(self) -> Counter[tuple[Priority, ImageState]]:
        """How many images are being fetched or processed."""
        return Counter(
            (priority, image.state)
            for priority, images in self._in_hands.values()
            for image in images.values()
        )

    def follow(self, changes: Sequence[JobChange]) -> None:
        """Called with the changes of a commit, in the order of commits."""
        for change in changes:
            job = change.job
            if change.deleted:
                self._hidden.discard(job.id)
                self._in_hands.pop(job.id, None)
                continue
            self._note_job(job)
            for changed in change.images:
                self._note_image(job, changed.image)

    def note_attempt(self, attempt: Attempt) -> None:
        """A try to deliver a message has ended."""
        result = DELIVERED if attempt.error is None else attempt.error.value
        self._metrics.tries.labels(result).inc()
        if attempt.state is not DeliveryState.PENDING:
            self._metrics.deliveries.labels(attempt.state.value).inc()

    def _note_job(self, job: Job) -> None:
        is_new = job.seq == 1  # its first change; what it has of images is not told one by one
        if job.hidden:
            self._hidden.add(job.id)
        elif is_new or job.id in self._hidden:
            self._hidden.discard(job.id)
            self._metrics.jobs_accepted.labels(job.source).inc()
        if is_new:
            for code, count in job.errors.items():
                self._metrics.images.labels(ImageState.FAILED.value, code).inc(count)
        if job.state.is_final:  # it became so by this change
            self._metrics.jobs_ended.labels(job.state.value).inc()

    def _note_image(self, job: Job, image: Image) -> None:
        before = self._take_back(job, image)
        if before is not None and before.state is ImageState.FETCHING:
            self._note_fetch(before, image)
        if image.state in _IN_HANDS:
            self._in_hands.setdefault(job.id, (job.priority, {}))[1][image.index] = image
            self._note_wait(image)
        elif image.state.is_final:
            self._note_end(image)

    def _take_back(self, job: Job, image: Image) -> Image | None:
        """The image as it was when somebody had it in hands; None when nobody had."""
        if job.id not in self._in_hands:
            return None
        _, images = self._in_hands[job.id]
        before = images.pop(image.index, None)
        if not images:
            del self._in_hands[job.id]
        return before

    def _note_wait(self, image: Image) -> None:
        """Of an image that came with its bytes: the wait of others is that for a host."""
        is_first = image.claim == 1 and image.state is ImageState.PROCESSING
        if is_first and image.started_at is not None:
            waited_ms = max(image.started_at - created_ms(image.id), 0)  # the clock may be set
            self._metrics.wait_s.observe(waited_ms / 1000)

    def _note_fetch(self, before: Image, image: Image) -> None:
        metrics = self._metrics
        if image.state is ImageState.FAILED and image.error is not None:
            metrics.fetches.labels(image.error.code.value).inc()
        elif image.state is ImageState.CANCELLED:
            metrics.fetches.labels(image.state.value).inc()
        elif not image.lacks_bytes:
            metrics.fetches.labels(FETCHED).inc()
            metrics.fetched_bytes.inc(image.size_bytes or 0)
        elif image.attempts < before.attempts or image.last_error is None:  # it does not count
            metrics.fetches.labels(PUT_OFF).inc()
        else:
            metrics.fetches.labels(image.last_error.code.value).inc()

    def _note_end(self, image: Image) -> None:
        metrics = self._metrics
        error = "" if image.error is None else image.error.code.value
        metrics.images.labels(image.state.value, error).inc()
        metrics.input_bytes.inc(image.size_bytes or 0)
        for output in image.outputs:
            origin = REUSED if output.reused else RENDERED
            metrics.outputs.labels(origin).inc()
            metrics.output_bytes.labels(origin).inc(output.size_bytes)
        was_made = not image.outputs or not all(output.reused for output in image.outputs)
        if image.duration_ms is not None and was_made:
            metrics.render_s.observe(image.duration_ms / 1000)
