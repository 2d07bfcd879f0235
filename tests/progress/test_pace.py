"""When a job will be done: weighed by what its images cost, learned from what it finished."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.states import ImageState, JobState
from imgsvc.progress.pace import Paces
from tests.factories import change_images, make_image, make_job


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Work:
    """A job whose images are finished one after the other, as a clock says."""

    def __init__(self, *costs_ms: int, unfetched: int = 0) -> None:
        self.clock = Clock()
        self.paces = Paces(self.clock)
        self.job: Job = replace(
            make_job(state=JobState.PROCESSING),
            total=len(costs_ms),
            remaining_ms=sum(costs_ms),
            unfetched=unfetched,
        )
        self._tell(make_image(job_id=self.job.id, state=ImageState.PROCESSING))

    def finish(
        self, cost_ms: int, after_s: float, state: ImageState = ImageState.COMPLETED
    ) -> None:
        self.clock.now_s += after_s
        self.job = replace(self.job, remaining_ms=self.job.remaining_ms - cost_ms)
        self._tell(make_image(job_id=self.job.id, state=state, cost_ms=cost_ms))

    def arrive(self, after_s: float) -> None:
        """The bytes of one more image are there."""
        self.clock.now_s += after_s
        self.job = replace(self.job, unfetched=self.job.unfetched - 1)
        self._tell(make_image(job_id=self.job.id, state=ImageState.PENDING))

    @property
    def remaining_s(self) -> float | None:
        return self.paces.remaining_s(self.job)

    def _tell(self, image: Image) -> None:
        change = change_images(self.job, image)
        self.paces.follow([change])
        self.job = change.job


def test_nothing_is_known_before_the_first_image() -> None:
    assert Work(10, 10).remaining_s is None


def test_large_images_count_for_more_than_small_ones() -> None:
    work = Work(*[10] * 10, *[1000] * 10)
    for _ in range(10):
        work.finish(10, after_s=0.01)
    assert work.remaining_s == pytest.approx(10, rel=0.01)


def test_the_pace_is_learned_whatever_the_prediction_was() -> None:
    work = Work(*[10] * 100)
    for _ in range(50):
        work.finish(10, after_s=2.0)
    assert work.remaining_s == pytest.approx(100, rel=0.05)


def test_recent_images_say_more_than_early_ones() -> None:
    work = Work(*[10] * 1000)
    for _ in range(100):
        work.finish(10, after_s=1.0)
    for _ in range(400):
        work.finish(10, after_s=0.25)
    assert work.remaining_s == pytest.approx(500 * 0.25, rel=0.15)


def test_a_standstill_moves_the_end_away() -> None:
    work = Work(*[10] * 20)
    for _ in range(10):
        work.finish(10, after_s=1.0)
    before = work.remaining_s
    work.clock.now_s += 20
    assert before is not None
    assert (work.remaining_s or 0) > 2 * before


def test_an_open_job_gets_no_slower_by_waiting_for_images() -> None:
    work = Work(10, 10)
    for _ in range(2):
        work.finish(10, after_s=1.0)
    work.clock.now_s += 1000
    work.job = replace(work.job, remaining_ms=10)
    assert work.remaining_s == pytest.approx(1, rel=0.1)


def test_images_that_come_slowly_hold_up_those_that_are_there() -> None:
    work = Work(*[10] * 120, unfetched=100)
    for _ in range(20):  # what was sent along is done at once
        work.finish(10, after_s=0.01)
    for _ in range(10):
        work.arrive(after_s=2.0)
        work.finish(10, after_s=0.01)
    assert work.remaining_s == pytest.approx(90 * 2, rel=0.05)


def test_images_that_come_fast_wait_for_the_work() -> None:
    work = Work(*[1000] * 100, unfetched=100)
    for _ in range(20):
        for _ in range(4):
            work.arrive(after_s=0.25)
        work.finish(1000, after_s=0.0)
    assert work.remaining_s == pytest.approx(80, rel=0.05)


def test_the_end_is_unknown_before_the_first_image_has_come() -> None:
    work = Work(*[10] * 20, unfetched=10)
    for _ in range(10):
        work.finish(10, after_s=0.01)
    assert work.remaining_s is None
    work.arrive(after_s=1.0)
    assert work.remaining_s is not None


def test_a_host_that_answers_no_more_moves_the_end_away() -> None:
    work = Work(*[10] * 20, unfetched=20)
    for _ in range(10):
        work.arrive(after_s=1.0)
        work.finish(10, after_s=0.0)
    before = work.remaining_s
    work.clock.now_s += 20
    assert before is not None
    assert (work.remaining_s or 0) > 2 * before


def test_an_append_is_no_arrival() -> None:
    work = Work(10, 10, unfetched=1)
    work.finish(10, after_s=1.0)
    work.job = replace(work.job, unfetched=9)
    work.arrive(after_s=1.0)
    assert work.remaining_s is None


def test_cancelled_images_are_no_work_done() -> None:
    work = Work(10, 10, 10)
    work.finish(10, 1.0, ImageState.CANCELLED)
    assert work.remaining_s is None


def test_a_final_job_is_done_and_forgotten() -> None:
    work = Work(10)
    work.finish(10, after_s=1.0)
    done = replace(work.job, state=JobState.COMPLETED)
    work.paces.follow([change_images(done)])
    assert work.paces.remaining_s(done) == 0.0
    assert work.paces.remaining_s(replace(work.job, remaining_ms=5)) is None


def test_a_job_seen_only_after_a_restart_has_no_pace_yet() -> None:
    assert Paces().remaining_s(replace(make_job(state=JobState.PROCESSING), remaining_ms=5)) is None
