"""What follows on a try to deliver."""

from __future__ import annotations

import pytest

from imgsvc.domain.webhook import DeliveryError, DeliveryState
from imgsvc.webhooks.schedule import DELAYS_S, Answer, decide_next, judge_status

NOW = 1_000_000
BUSY = Answer(503, DeliveryError.HTTP_STATUS)


def wait_s(answer: Answer, tries: int, chance: float = 0.0) -> float:
    attempt = decide_next(answer, tries, max_tries=99, now_ms=NOW, chance=chance)
    assert attempt.state is DeliveryState.PENDING
    assert attempt.next_at is not None
    return (attempt.next_at - NOW) / 1000


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, None), (204, None), (299, None),
        (300, "redirected"), (301, "redirected"), (304, "redirected"), (307, "redirected"),
        (400, "http_status"), (404, "http_status"), (410, "gone"), (429, "http_status"),
        (500, "http_status"), (599, "http_status"), (101, "http_status"),
    ],
)  # fmt: skip
def test_only_a_status_of_success_is_one(status: int, error: str | None) -> None:
    assert judge_status(status) == error


def test_waits_grow_from_seconds_to_a_day_over_three_days() -> None:
    waits = [wait_s(BUSY, tries) for tries in range(1, 10)]
    assert waits == list(DELAYS_S)
    assert waits == sorted(waits)
    assert 3 * 86_400 <= sum(waits) <= 4 * 86_400
    assert wait_s(BUSY, 50) == 86_400


def test_tries_of_many_messages_are_spread() -> None:
    assert wait_s(BUSY, 2, 0.0) == 300
    assert wait_s(BUSY, 2, 0.5) == 330
    assert wait_s(BUSY, 2, 1.0) == 360
    assert wait_s(Answer(429, DeliveryError.HTTP_STATUS, 3600), 2, 0.5) == 3960


@pytest.mark.parametrize(
    ("asked_s", "waited_s"), [(None, 5), (0, 5), (4, 5), (60, 60), (86_400, 86_400), (1e9, 86_400)]
)
def test_a_longer_wait_that_the_receiver_asks_for_is_kept_up_to_a_day(
    asked_s: float | None, waited_s: float
) -> None:
    answer = Answer(429, DeliveryError.HTTP_STATUS, asked_s)
    assert wait_s(answer, 1) == waited_s


@pytest.mark.parametrize(
    "error", sorted(set(DeliveryError) - {DeliveryError.GONE, DeliveryError.BLOCKED})
)
def test_whatever_may_pass_is_tried_again_until_the_last_try(error: DeliveryError) -> None:
    answer = Answer(None, error)
    assert wait_s(answer, 1) == 5
    last = decide_next(answer, 3, max_tries=3, now_ms=NOW, chance=0.5)
    assert (last.state, last.error, last.next_at) == (DeliveryState.FAILED, error, None)


def test_a_blocked_address_is_asked_once() -> None:
    attempt = decide_next(Answer(None, DeliveryError.BLOCKED), 1, max_tries=9, now_ms=NOW, chance=0)
    assert (attempt.state, attempt.error) == (DeliveryState.FAILED, DeliveryError.BLOCKED)


def test_a_receiver_that_is_gone_is_asked_no_more() -> None:
    attempt = decide_next(Answer(410, DeliveryError.GONE), 1, max_tries=9, now_ms=NOW, chance=0)
    assert (attempt.state, attempt.status) == (DeliveryState.DISABLED, 410)
