"""Whose turn it is."""

from __future__ import annotations

from imgsvc.dispatch.turns import Turns
from imgsvc.domain.states import Priority


def _take(turns: Turns, count: int) -> list[str]:
    taken = []
    for _ in range(count):
        turn = turns.take()
        assert turn is not None
        taken.append(turn[0])
    return taken


def test_jobs_of_one_priority_take_turns() -> None:
    turns = Turns()
    for name in "abc":
        turns.add(name, Priority.NORMAL)
    assert _take(turns, 6) == ["a", "b", "c", "a", "b", "c"]


def test_a_higher_priority_is_served_first_and_alone() -> None:
    turns = Turns()
    turns.add("low", Priority.LOW)
    turns.add("normal", Priority.NORMAL)
    turns.add("high", Priority.HIGH)
    assert _take(turns, 3) == ["high"] * 3


def test_a_job_with_nothing_left_makes_room_for_the_next_class() -> None:
    turns = Turns()
    turns.add("low", Priority.LOW)
    turns.add("high", Priority.HIGH)
    turn = turns.take()
    assert turn is not None
    turns.exhaust(*turn)
    assert _take(turns, 1) == ["low"]


def test_news_during_a_turn_keep_the_job_in_line() -> None:
    turns = Turns()
    turns.add("a", Priority.NORMAL)
    turn = turns.take()
    assert turn is not None
    turns.add("a", Priority.NORMAL)
    turns.exhaust(*turn)
    assert _take(turns, 1) == ["a"]


def test_adding_again_does_not_jump_the_line() -> None:
    turns = Turns()
    for name in "ab":
        turns.add(name, Priority.NORMAL)
    _take(turns, 1)
    turns.add("a", Priority.NORMAL)
    assert _take(turns, 2) == ["b", "a"]


def test_nobody_waits_when_there_is_nothing() -> None:
    turns = Turns()
    assert not turns
    assert turns.take() is None
