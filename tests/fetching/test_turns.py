"""Who has room, and whose turn was last."""

from __future__ import annotations

import pytest

from imgsvc.domain.states import Priority
from imgsvc.fetching import turns as turns_module
from imgsvc.fetching.turns import FetchTurns


def make_turns(per_host: int = 4, on_trial: str = "") -> FetchTurns:
    return FetchTurns(per_host, lambda host: host == on_trial)


def test_a_host_has_as_many_places_as_it_may() -> None:
    turns = make_turns(2)
    assert turns.room("a") == 2
    turns.begin("a", "1")
    assert (turns.room("a"), turns.busy_hosts()) == (1, [])
    turns.begin("a", "1")
    assert (turns.room("a"), turns.room("b"), turns.busy_hosts()) == (0, 2, ["a"])
    turns.end("a", "1")
    assert (turns.room("a"), turns.busy_hosts()) == (1, [])


def test_a_host_on_trial_has_one() -> None:
    turns = make_turns(on_trial="a")
    assert turns.room("a") == 1
    turns.begin("a", "1")
    assert (turns.room("a"), turns.busy_hosts()) == (0, ["a"])
    turns.begin("a", "1")
    assert turns.room("a") == 0


def test_it_is_known_whose_turn_was_last() -> None:
    turns = make_turns()
    assert (turns.last_host("1"), turns.last_jobs[Priority.LOW]) == ("", "")
    turns.note_turn("a", "1")
    turns.note_turn("b", "2")
    assert (turns.last_host("1"), turns.last_host("2")) == ("a", "b")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "MAX_REMEMBERED", 3)
    turns = make_turns()
    for job_id in "1234":
        turns.note_turn("a", job_id)
        turns.begin("a", job_id)
        turns.end("a", job_id)
    assert [turns.last_host(job_id) for job_id in "1234"] == ["", "a", "a", "a"]
    assert turns.busy_hosts() == []
