"""However the machine's clock is set, everything that waits goes on waiting for its time."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsvc.domain.times import Clock
from imgsvc.fetching.breakers import FAILURES, FIRST_PAUSE_S, Breakers
from imgsvc.fetching.unfetched import Unfetched
from imgsvc.runtime.core import LONGEST_WAITS
from imgsvc.store.deadlines import LongestWaits
from imgsvc.store.store import Store
from imgsvc.upkeep.clock import EVERY_S, STEP_MS, ClockWatch
from tests.store.builders import CRASHED, claim, create, made, release

START_MS = 1_800_000_000_000
YEAR_MS = 365 * 86_400_000
ROUND_MS = round(EVERY_S * 1000)


class Machine:
    """A machine whose clock can be set, and which can be started again."""

    def __init__(self) -> None:
        self.wall_ms = START_MS
        self.elapsed_ms = 0

    def clock(self) -> Clock:
        return Clock(lambda: self.wall_ms, lambda: self.elapsed_ms)

    def live(self, ms: int) -> None:
        self.wall_ms += ms
        self.elapsed_ms += ms


@dataclass(frozen=True)
class Event:
    """The clock is set by so much; then time passes; then, perhaps, the server starts again."""

    set_by_ms: int
    then_ms: int
    restart: bool


jumps = st.one_of(
    st.integers(-YEAR_MS, YEAR_MS),
    st.integers(-90_000, 90_000),
    st.sampled_from([0, STEP_MS - 1, -STEP_MS, 86_400_000, -86_400_000]),
)
events = st.lists(st.builds(Event, jumps, st.integers(1, 4_000), st.booleans()), max_size=6)


@settings(max_examples=60)
@given(events=events, pause_ms=st.integers(1, LONGEST_WAITS.tries))
def test_no_image_waits_longer_than_the_longest_pause(
    events: Sequence[Event], pause_ms: int
) -> None:
    """In real time since its last start; and while the server runs, exactly as long as it was
    to wait, but for a round of the watch."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_wait_through(Path(folder) / "imgsvc.db", events, pause_ms))


async def _wait_through(path: Path, events: Sequence[Event], pause_ms: int) -> None:
    machine = Machine()
    clock, store = machine.clock(), await Store.open(path)
    watch = ClockWatch(store, LONGEST_WAITS, lambda _: None, clock)
    job = await create(store, 1, now_ms=clock.now_ms())
    (image,) = await claim(store, job, 1, clock.now_ms())
    waits_until = clock.now_ms() + pause_ms
    await store.release_images(
        [release(image, last_error=CRASHED, not_before=waits_until)], clock.now_ms()
    )
    restarts, waited_ms, since_start_ms = 0, 0, 0
    for event in events:
        machine.wall_ms += event.set_by_ms
        if event.restart:
            await store.close()
            clock, store = machine.clock(), await Store.open(path)
            watch = ClockWatch(store, LONGEST_WAITS, lambda _: None, clock)
            await store.cut_deadlines(clock.now_ms(), LONGEST_WAITS)
            restarts += 1
            since_start_ms = 0
        machine.live(event.then_ms)
        waited_ms += event.then_ms
        since_start_ms += event.then_ms
        await watch.run_once()
    while not await claim(store, job, 1, clock.now_ms()):
        machine.live(ROUND_MS)
        waited_ms += ROUND_MS
        since_start_ms += ROUND_MS
        await watch.run_once()
        assert since_start_ms <= LONGEST_WAITS.tries + ROUND_MS + len(events) * STEP_MS
    if not restarts:
        assert waited_ms >= pause_ms - len(events) * STEP_MS
        spent_ms = sum(event.then_ms for event in events)
        assert waited_ms <= max(pause_ms + len(events) * STEP_MS, spent_ms) + ROUND_MS
    await store.close()


@settings(max_examples=30)
@given(events=events)
def test_no_finished_job_is_deleted_early_while_the_server_runs(events: Sequence[Event]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_keep_through(Path(folder) / "imgsvc.db", events))


async def _keep_through(path: Path, events: Sequence[Event]) -> None:
    machine = Machine()
    clock, store = machine.clock(), await Store.open(path)
    watch = ClockWatch(store, LONGEST_WAITS, lambda _: None, clock)
    job = await create(store, 1, now_ms=clock.now_ms(), retain_s=3600)
    images = await claim(store, job, 1, clock.now_ms())
    await store.finish_images([made(image) for image in images], clock.now_ms())
    lived_ms = 0
    for event in events:
        machine.wall_ms += event.set_by_ms
        machine.live(event.then_ms)
        lived_ms += event.then_ms
        await watch.run_once()
        assert await store.expired_jobs(clock.now_ms(), 1) == []
    machine.live(3_600_000 + len(events) * STEP_MS)
    await watch.run_once()
    assert await store.expired_jobs(clock.now_ms(), 1) == [job.id]
    await store.close()


async def test_a_clock_that_is_adjusted_a_little_moves_nothing(tmp_path: Path) -> None:
    machine, told = Machine(), list[int]()
    clock, store = machine.clock(), await Store.open(tmp_path / "imgsvc.db")
    watch = ClockWatch(store, LONGEST_WAITS, told.append, clock)
    commits = store.effort.commits
    for _ in range(5):
        machine.wall_ms += STEP_MS - 1
        assert await watch.run_once() == 0
    assert clock.now_ms() == machine.wall_ms
    assert (told, store.effort.commits) == ([], commits)
    machine.wall_ms -= 86_400_000
    assert await watch.run_once() == -86_400_000
    assert (told, clock.now_ms()) == ([-86_400_000], machine.wall_ms)
    await store.close()


def test_a_host_is_left_alone_for_as_long_as_planned() -> None:
    machine = Machine()
    clock = machine.clock()
    for set_by_ms in (-86_400_000, 86_400_000):
        breakers = Breakers(clock.now_ms)
        for _ in range(FAILURES):
            breakers.note_failure("a.example")
        machine.wall_ms += set_by_ms
        clock.follow(set_by_ms)
        breakers.move(set_by_ms)
        machine.live(FIRST_PAUSE_S * 1000 - 1)
        assert _is_left_alone(breakers)
        machine.live(1)
        assert not _is_left_alone(breakers)


def _is_left_alone(breakers: Breakers) -> bool:
    try:
        breakers.check("a.example")
    except Unfetched:
        return True
    return False


async def test_what_is_written_while_the_clock_is_set_back_waits_no_day(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "imgsvc.db")
    machine = Machine()
    clock = machine.clock()
    job = await create(store, 1)
    (image,) = await claim(store, job)
    move = store.move_deadlines

    async def move_and_go_on(by_ms: int, now_ms: int, longest: LongestWaits) -> None:
        await move(by_ms, now_ms, longest)
        later = clock.now_ms() + 1000  # still by the clock as it was
        await store.release_images([release(image, not_before=later)], clock.now_ms())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "move_deadlines", move_and_go_on)
        machine.wall_ms -= 86_400_000
        await ClockWatch(store, LONGEST_WAITS, lambda _: None, clock).run_once()
    assert (await store.next_try_ms(job.id) or 0) <= clock.now_ms() + LONGEST_WAITS.tries
    await store.close()
