from __future__ import annotations

from imgsvc.folders.scan import Sighting
from imgsvc.folders.settling import Settled, Settling


def make_settling() -> Settling:
    return Settling(settle_s=2, patience_s=60)


def seen(size_bytes: int = 10, mtime_ns: int = 1, inode: int = 1, name: str = "a.jpg") -> Sighting:
    return Sighting(name, "/in", size_bytes, mtime_ns, inode)


def taken(settling: Settling) -> list[str]:
    return [one.sighting.name for one in settling.take_settled()]


def test_a_file_is_settled_when_it_looks_the_same_long_enough() -> None:
    settling = make_settling()
    settling.see(seen(), 100)
    settling.see(seen(), 101.9)
    assert taken(settling) == []
    settling.see(seen(), 102)
    assert taken(settling) == ["a.jpg"]
    assert taken(settling) == []


def test_a_file_that_nobody_has_looked_at_again_is_not_settled() -> None:
    settling = make_settling()
    settling.see(seen(), 100)
    settling.see(seen(name="b.jpg"), 200)
    assert taken(settling) == []


def test_every_change_begins_the_time_anew() -> None:
    settling = make_settling()
    for now_s, sighting in enumerate([seen(), seen(11), seen(11, 2), seen(11, 2, 3)]):
        settling.see(sighting, 100 + 1.5 * now_s)
        assert taken(settling) == []
    settling.see(seen(11, 2, 3), 106.5)
    assert taken(settling) == ["a.jpg"]


def test_a_file_server_whose_clock_is_wrong_does_no_harm() -> None:
    settling = make_settling()
    settling.see(seen(mtime_ns=9_999_999_999 * 10**9), 100)
    settling.see(seen(mtime_ns=9_999_999_999 * 10**9), 102)
    assert taken(settling) == ["a.jpg"]


def test_an_old_file_is_settled_at_its_first_look() -> None:
    settling = make_settling()
    settling.see(seen(), 100, is_old=True)
    assert taken(settling) == ["a.jpg"]


def test_a_file_without_its_end_is_waited_for_and_then_taken_as_it_is() -> None:
    settling = make_settling()
    settling.hold(seen(), 100)
    settling.see(seen(), 159)
    assert taken(settling) == []
    settling.see(seen(), 160)
    assert settling.take_settled() == [Settled(seen(), has_waited=True)]


def test_a_file_that_goes_on_growing_is_waited_for_no_longer_than_others() -> None:
    settling = make_settling()
    settling.hold(seen(), 100)
    settling.see(seen(20), 110)
    settling.see(seen(20), 112)
    assert settling.take_settled() == [Settled(seen(20))]


def test_what_is_due_next_is_known() -> None:
    settling = make_settling()
    assert settling.next_due_s() is None
    settling.see(seen(), 100)
    settling.see(seen(name="b.jpg"), 101)
    assert settling.next_due_s() == 102
    assert settling.due(102) == ["a.jpg"]
    settling.forget(["a.jpg", "absent"])
    assert settling.next_due_s() == 103


def test_what_cannot_be_taken_yet_is_settled_again_later() -> None:
    settling = make_settling()
    settling.postpone(Settled(seen(), has_waited=True), 100, 105)
    settling.see(seen(), 104)
    assert taken(settling) == []
    settling.see(seen(), 105)
    assert settling.take_settled() == [Settled(seen(), has_waited=True)]
