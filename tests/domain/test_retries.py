"""What happens after a failed try."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsvc.domain.rendering import Failure
from imgsvc.domain.retries import GiveUp, Retry, Trouble, decide_retry
from imgsvc.errors import ImageErrorCode

CRASH = Failure(ImageErrorCode.WORKER_CRASHED, "died")
FULL = Failure(ImageErrorCode.STORAGE_FULL, "full")
FETCHES = [
    Failure(ImageErrorCode.FETCH_FAILED, "refused"),
    Failure(ImageErrorCode.FETCH_TIMEOUT, "slow"),
]
FINAL_CODES = set(ImageErrorCode) - {
    ImageErrorCode.WORKER_CRASHED,
    ImageErrorCode.STORAGE_FULL,
    *(failure.code for failure in FETCHES),
}


def test_a_first_crash_is_tried_again_at_once() -> None:
    assert decide_retry(Trouble(CRASH, 1), 0.5) == Retry(CRASH, 0.0)


def test_a_second_crash_is_final() -> None:
    assert decide_retry(Trouble(CRASH, 2, has_crashed=True), 0.5) == GiveUp(CRASH)


@pytest.mark.parametrize("attempts", [2, 3])
def test_a_crash_after_another_trouble_is_the_first_one(attempts: int) -> None:
    assert decide_retry(Trouble(CRASH, attempts), 0.5) == Retry(CRASH, 0.0)


@pytest.mark.parametrize("attempts", [1, 2, 50])
def test_a_full_disk_is_waited_for_and_costs_no_attempt(attempts: int) -> None:
    waiting = Retry(FULL, 1.0, counts=False)
    assert decide_retry(Trouble(FULL, attempts), 0.5) == waiting
    assert decide_retry(Trouble(FULL, attempts, has_crashed=True), 0.5) == waiting


@pytest.mark.parametrize("failure", FETCHES)
def test_a_fetch_is_tried_three_times_in_all(failure: Failure) -> None:
    assert decide_retry(Trouble(failure, 1), 0.5) == Retry(failure, 1.0)
    assert decide_retry(Trouble(failure, 2), 0.5) == Retry(failure, 4.0)
    assert decide_retry(Trouble(failure, 3), 0.5) == GiveUp(failure)


@pytest.mark.parametrize("failure", FETCHES)
def test_a_fetch_that_can_never_succeed_is_not_tried_again(failure: Failure) -> None:
    assert decide_retry(Trouble(failure, 1, passes=False), 0.5) == GiveUp(failure)


@pytest.mark.parametrize("attempts", [1, 3, 50])
def test_a_host_that_is_left_alone_costs_time_but_no_attempt(attempts: int) -> None:
    failure = FETCHES[0]
    waiting, tired = (Trouble(failure, attempts, left_alone_s=s) for s in (119.9, 120.0))
    assert decide_retry(waiting, 0.5) == Retry(failure, 0.0, counts=False)
    assert decide_retry(tired, 0.5) == GiveUp(failure, counts=False)


@pytest.mark.parametrize(("asked_s", "delay_s"), [(0.2, 1.0), (7.0, 7.0), (3600.0, 30.0)])
def test_a_host_that_asks_for_patience_gets_it_up_to_a_limit(
    asked_s: float, delay_s: float
) -> None:
    trouble = Trouble(FETCHES[0], 1, retry_after_s=asked_s)
    assert decide_retry(trouble, 0.5) == Retry(FETCHES[0], delay_s)


@given(st.integers(1, 2), st.floats(0, 1))
def test_delays_are_spread_by_a_quarter(attempts: int, chance: float) -> None:
    decision = decide_retry(Trouble(FETCHES[0], attempts), chance)
    planned_s = 4.0 ** (attempts - 1)
    assert isinstance(decision, Retry)
    assert 0.75 * planned_s <= decision.delay_s <= 1.25 * planned_s


@pytest.mark.parametrize("code", sorted(FINAL_CODES))
def test_other_failures_are_final_at_once(code: ImageErrorCode) -> None:
    failure = Failure(code, "")
    assert decide_retry(Trouble(failure, 1), 0.5) == GiveUp(failure)
    assert decide_retry(Trouble(failure, 1, has_crashed=True), 0.5) == GiveUp(failure)
