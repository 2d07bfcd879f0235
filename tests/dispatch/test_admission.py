"""Which tasks may be in memory together."""

from __future__ import annotations

from imgsvc.dispatch.admission import Admission, Allowance

SHARE = 100
BUDGET = 400


def _admission() -> Admission:
    return Admission(BUDGET, lambda: SHARE)


def test_ordinary_tasks_get_their_share_and_need_no_counting() -> None:
    admission = _admission()
    assert admission.admits_ordinary()
    assert admission.begin(None) == Allowance(SHARE, is_heavy=False)
    assert admission.begin(SHARE) == Allowance(SHARE, is_heavy=False)
    assert admission.admits_ordinary()


def test_a_heavy_task_waits_for_the_ordinary_ones() -> None:
    admission = _admission()
    ordinary = admission.begin(None)
    assert not admission.admits_heavy(300)
    admission.end(ordinary)
    assert admission.admits_heavy(300)
    assert admission.begin(300) == Allowance(300, is_heavy=True)


def test_heavy_tasks_share_the_budget() -> None:
    admission = _admission()
    heavy = admission.begin(250)
    assert admission.admits_heavy(150)
    assert not admission.admits_heavy(151)
    admission.end(heavy)
    assert admission.admits_heavy(400)


def test_nothing_ordinary_begins_beside_a_heavy_task() -> None:
    admission = _admission()
    heavy = admission.begin(300)
    assert not admission.admits_ordinary()
    admission.end(heavy)
    assert admission.admits_ordinary()


def test_beside_a_suspect_there_is_nothing() -> None:
    admission = _admission()
    for cost in (None, 300):
        other = admission.begin(cost)
        assert not admission.admits_alone()
        admission.end(other)
    suspect = admission.begin_alone(None)
    assert suspect == Allowance(SHARE, is_heavy=False, is_alone=True)
    assert not admission.admits(None)
    assert not admission.admits(300)
    assert not admission.admits_alone()
    admission.end(suspect)
    assert admission.admits_alone()


def test_a_suspect_may_use_what_it_is_known_to_need() -> None:
    heavy = _admission().begin_alone(300)
    assert heavy == Allowance(300, is_heavy=True, is_alone=True)


def test_more_than_the_whole_budget_can_never_fit() -> None:
    assert _admission().can_ever_fit(BUDGET)
    assert not _admission().can_ever_fit(BUDGET + 1)


def test_a_share_that_changes_does_not_change_what_runs() -> None:
    share = 100
    admission = Admission(BUDGET, lambda: share)
    heavy, ordinary = admission.begin(150), admission.begin(80)
    share = 200
    assert not admission.is_heavy(150)
    assert not admission.admits_heavy(250)
    admission.end(heavy)
    assert admission.admits_ordinary()
    admission.end(ordinary)
    assert admission.admits_heavy(BUDGET)
