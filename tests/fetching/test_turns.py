"""Host after host, and within a host job after job."""

from __future__ import annotations

import pytest

from imgsvc.fetching import turns as turns_module
from imgsvc.fetching.turns import HostTurns


def test_a_host_has_as_many_places_as_it_may() -> None:
    turns = HostTurns(2)
    assert turns.has_room("a", on_trial=False)
    turns.begin("a", "1")
    assert turns.has_room("a", on_trial=False)
    turns.begin("a", "1")
    assert not turns.has_room("a", on_trial=False)
    assert turns.has_room("b", on_trial=False)
    turns.end("a")
    assert turns.has_room("a", on_trial=False)


def test_a_host_on_trial_has_one() -> None:
    turns = HostTurns(4)
    assert turns.has_room("a", on_trial=True)
    turns.begin("a", "1")
    assert not turns.has_room("a", on_trial=True)


def test_it_is_known_whose_turn_was_last() -> None:
    turns = HostTurns(4)
    assert (turns.last_host, turns.last_job("a")) == ("", "")
    turns.begin("a", "1")
    turns.begin("b", "2")
    turns.end("a")
    assert (turns.last_host, turns.last_job("a"), turns.last_job("b")) == ("b", "1", "2")
    assert turns.busy_hosts == 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "MAX_REMEMBERED", 3)
    turns = HostTurns(4)
    for host in "abcd":
        turns.begin(host, "1")
        turns.end(host)
    assert [turns.last_job(host) for host in "abcd"] == ["", "1", "1", "1"]
    assert turns.busy_hosts == 0
