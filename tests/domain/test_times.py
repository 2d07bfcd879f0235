from __future__ import annotations

from imgsvc.domain.ids import new_id
from imgsvc.domain.times import Clock, elapsed_ms, now_ms, rfc3339, wall_ms


class Machine:
    """A machine whose clock can be set."""

    def __init__(self) -> None:
        self.wall_ms = 1_800_000_000_000
        self.elapsed_ms = 5_000

    def clock(self) -> Clock:
        return Clock(lambda: self.wall_ms, lambda: self.elapsed_ms)

    def live(self, ms: int) -> None:
        self.wall_ms += ms
        self.elapsed_ms += ms


def test_time_goes_on_evenly_while_the_machines_clock_is_set() -> None:
    machine = Machine()
    clock = machine.clock()
    began = clock.now_ms()
    assert (began, clock.behind_ms()) == (machine.wall_ms, 0)
    machine.live(10_000)
    machine.wall_ms -= 86_400_000
    assert (clock.now_ms(), clock.behind_ms()) == (began + 10_000, -86_400_000)
    machine.live(10_000)
    assert clock.now_ms() == began + 20_000


def test_it_follows_when_it_is_told_to() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall_ms += 3_600_000
    clock.follow(clock.behind_ms())
    assert (clock.now_ms(), clock.behind_ms()) == (machine.wall_ms, 0)


def test_this_process_has_the_machines_time() -> None:
    before = elapsed_ms()
    assert abs(now_ms() - wall_ms()) < 1_000
    assert elapsed_ms() >= before


def test_times_are_written_with_milliseconds() -> None:
    assert rfc3339(1_763_632_800_123) == "2025-11-20T10:00:00.123Z"
    assert rfc3339(None) is None


def test_ids_are_different_and_rise() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert ids == sorted(set(ids))
