"""A host that keeps failing is left alone for a while."""

from __future__ import annotations

import pytest

from imgsvc.errors import ImageErrorCode
from imgsvc.fetching import breakers as breakers_module
from imgsvc.fetching.breakers import (
    FAILURES,
    FORGOTTEN_AFTER_S,
    LASTING_FAILURES,
    LASTING_S,
    Breakers,
)
from imgsvc.fetching.unfetched import Unfetched
from tests.fetching.hosts import Clock

HOST = "example.org"


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(clock)


def fail(breakers: Breakers, times: int = FAILURES, host: str = HOST) -> list[float | None]:
    return [breakers.note_failure(host) for _ in range(times)]


def is_left_alone(breakers: Breakers, host: str = HOST) -> bool:
    try:
        breakers.check(host)
    except Unfetched:
        return True
    return False


def test_many_failures_in_a_row_leave_it_alone(breakers: Breakers) -> None:
    assert fail(breakers, FAILURES - 1) == [None] * (FAILURES - 1)
    assert not is_left_alone(breakers)
    assert fail(breakers, 1) == [5.0]
    assert is_left_alone(breakers)
    assert not is_left_alone(breakers, "example.net")


def test_fewer_leave_it_alone_when_they_last(breakers: Breakers, clock: Clock) -> None:
    fail(breakers, LASTING_FAILURES - 1)
    clock.advance(LASTING_S)
    assert fail(breakers, 1) == [5.0]
    assert is_left_alone(breakers)


def test_a_few_bad_links_leave_nobody_alone(breakers: Breakers, clock: Clock) -> None:
    fail(breakers, LASTING_FAILURES - 1)
    clock.advance(LASTING_S - 0.001)
    assert fail(breakers, FAILURES - LASTING_FAILURES) == [None] * (FAILURES - LASTING_FAILURES)
    assert not is_left_alone(breakers)


def test_a_clock_that_is_set_makes_no_failures_last(breakers: Breakers, clock: Clock) -> None:
    fail(breakers, LASTING_FAILURES)
    clock.advance(LASTING_S)
    breakers.move(round(LASTING_S * 1000))
    assert fail(breakers, 1) == [None]


def test_an_answer_in_between_starts_the_count_anew(breakers: Breakers) -> None:
    fail(breakers, FAILURES - 1)
    assert breakers.note_answer(HOST) is False
    assert fail(breakers, FAILURES - 1) == [None] * (FAILURES - 1)
    assert not is_left_alone(breakers)


def test_an_answer_while_it_is_left_alone_is_noted_for_those_who_wait(
    breakers: Breakers, clock: Clock
) -> None:
    fail(breakers)
    until_ms = clock() + 5_000
    clock.advance(4)
    assert breakers.note_answer(HOST)
    assert list(breakers.back_early) == [(HOST, until_ms)]
    fail(breakers)
    clock.advance(5)
    assert breakers.note_answer(HOST)
    assert list(breakers.back_early) == [(HOST, until_ms)]


def test_a_pause_that_is_ended_by_hand_is_over_until_one_has_asked_in_vain(
    breakers: Breakers, clock: Clock
) -> None:
    fail(breakers)
    clock.advance(5)
    assert fail(breakers, 1) == [10]
    until_ms = clock() + 10_000
    clock.advance(5)
    breakers.end_pauses([HOST, "other.example"])
    assert list(breakers.back_early) == [(HOST, until_ms)]
    assert not is_left_alone(breakers)
    assert breakers.is_on_trial(HOST)
    assert fail(breakers, 1) == [20]


def test_pauses_that_are_ended_again_and_again_do_not_have_a_host_asked_all_the_time(
    breakers: Breakers, clock: Clock
) -> None:
    fail(breakers)
    clock.advance(5)
    assert fail(breakers, 1) == [10]
    until_ms = clock() + 10_000
    clock.advance(1)
    for _ in range(3):
        breakers.end_pauses([HOST, "other.example"])
    assert list(breakers.back_early) == [(HOST, until_ms)]
    assert breakers.until_ms(HOST) == clock() + 4_000
    with pytest.raises(Unfetched) as caught:
        breakers.check(HOST)
    assert caught.value.left_alone_since_ms == clock()
    clock.advance(4)
    assert not is_left_alone(breakers)


@pytest.mark.parametrize("by_ms", [60_000, -60_000])
def test_those_who_were_tried_by_hand_wait_from_then_on_whatever_the_clock_is_set_to(
    breakers: Breakers, clock: Clock, by_ms: int
) -> None:
    fail(breakers)
    clock.advance(5)
    fail(breakers, 1)
    clock.advance(5)
    breakers.end_pauses([HOST, "other.example"])
    clock.advance(by_ms / 1000)
    breakers.move(by_ms)
    by_hand_ms = clock()
    clock.advance(1)
    fail(breakers, 1)
    with pytest.raises(Unfetched) as caught:
        breakers.check(HOST)
    assert caught.value.left_alone_since_ms == by_hand_ms


def test_a_clock_that_is_set_moves_also_until_when_those_wait_whose_host_is_back(
    breakers: Breakers, clock: Clock
) -> None:
    fail(breakers)
    until_ms = clock() + 5_000
    assert breakers.note_answer(HOST)
    breakers.move(60_000)
    assert list(breakers.back_early) == [(HOST, until_ms + 60_000)]


def test_who_asks_meanwhile_is_told_until_when(breakers: Breakers, clock: Clock) -> None:
    fail(breakers)
    with pytest.raises(Unfetched) as caught:
        breakers.check(HOST)
    assert caught.value.failure.code is ImageErrorCode.FETCH_FAILED
    assert caught.value.passes
    assert breakers.until_ms(HOST) == clock() + 5_000
    assert str(caught.value) == (
        "The host example.org failed 30 times in a row and is left alone until "
        "2027-01-15T08:00:05.000Z."
    )


def test_after_one_failure_it_is_on_trial_until_it_answers(breakers: Breakers) -> None:
    assert not breakers.is_on_trial(HOST)
    fail(breakers, 1)
    assert breakers.is_on_trial(HOST)
    breakers.note_answer(HOST)
    assert not breakers.is_on_trial(HOST)


def test_after_the_pause_it_is_on_trial(breakers: Breakers, clock: Clock) -> None:
    fail(breakers)
    clock.advance(4.999)
    assert (is_left_alone(breakers), breakers.is_on_trial(HOST)) == (True, False)
    clock.advance(0.001)
    assert (is_left_alone(breakers), breakers.is_on_trial(HOST)) == (False, True)
    assert breakers.until_ms(HOST) == 0
    assert breakers.note_answer(HOST) is True
    assert (is_left_alone(breakers), breakers.is_on_trial(HOST)) == (False, False)


def test_each_trial_that_fails_doubles_the_pause_up_to_five_minutes(
    breakers: Breakers, clock: Clock
) -> None:
    pauses = fail(breakers)[-1:]
    for _ in range(7):
        clock.advance(pauses[-1] or 0.0)
        pauses += fail(breakers, 1)
    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]


def test_who_had_asked_before_makes_the_pause_no_longer(breakers: Breakers, clock: Clock) -> None:
    fail(breakers)
    assert fail(breakers, 3) == [None] * 3
    clock.advance(5)
    assert breakers.is_on_trial(HOST)


def test_it_is_known_how_many_hosts_are_left_alone(breakers: Breakers, clock: Clock) -> None:
    fail(breakers)
    fail(breakers, 1, "example.net")
    assert breakers.left_alone == 1
    clock.advance(5)
    assert breakers.left_alone == 0


def test_failures_of_long_ago_are_forgotten(breakers: Breakers, clock: Clock) -> None:
    fail(breakers, FAILURES - 1)
    clock.advance(FORGOTTEN_AFTER_S + 1)
    fail(breakers, 1, "example.net")
    assert fail(breakers, 1) == [None]


def test_of_more_hosts_than_are_remembered_those_that_failed_last_are(
    breakers: Breakers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breakers_module, "MAX_REMEMBERED", 3)
    for host in "abcad":
        fail(breakers, 1, host)
    assert [breakers.is_on_trial(host) for host in "abcd"] == [True, False, True, True]


def test_nothing_is_kept_of_hosts_that_answer(breakers: Breakers) -> None:
    for number in range(100):
        fail(breakers, 1, f"{number}.example")
        breakers.note_answer(f"{number}.example")
    assert not breakers._records
