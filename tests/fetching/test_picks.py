"""Strict by priority, job after job within one, and host after host within a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from imgsvc.domain.image import Image
from imgsvc.domain.states import Priority
from imgsvc.fetching import picks as picks_module
from imgsvc.fetching.breakers import Breakers
from imgsvc.fetching.picks import JOBS_AT_ONCE, Picker
from imgsvc.fetching.turns import FetchTurns
from imgsvc.fetching.url_images import url_image
from imgsvc.store.store import Store
from tests.store.builders import new_job

PER_HOST = 2


class Queue:
    """Jobs whose images begin, and end, as a test says."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.on_trial: set[str] = set()
        self.turns = FetchTurns(PER_HOST, self.on_trial.__contains__)
        self.picker = Picker(store, self.turns)

    async def submit(self, *hosts: str, priority: Priority = Priority.NORMAL) -> str:
        """Images, one from each of `hosts`, by their first letters: the job's id."""
        images = [url_image(f"http://{host}.example/", None) for host in hosts]
        return (await self.store.create_job(new_job(priority=priority), images, 1_000)).id

    async def begin(self, room: int) -> list[tuple[str, str]]:
        """The job and the host of each image that begins in one round."""
        begun = await self.store.begin_fetches(await self.picker.pick(room), 2_000)
        for image in sorted(begun, key=lambda image: image.index):  # as a commit tells of them
            self.turns.begin(_host(image), image.job_id)
        return [(image.job_id, _host(image).partition(".")[0]) for image in begun]

    def end(self, host: str, job_id: str) -> None:
        self.turns.end(f"{host}.example", job_id)


def _host(image: Image) -> str:
    assert image.fetch_host is not None
    return image.fetch_host


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Queue]:
    store = await Store.open(tmp_path / "imgsvc.db")
    yield Queue(store)
    await store.close()


async def test_a_place_that_comes_free_in_a_round_goes_to_no_lower_priority(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    high = await queue.submit("a", "a", "a", priority=Priority.HIGH)
    low = await queue.submit("a", priority=Priority.LOW)
    assert await queue.begin(32) == [(high, "a")] * PER_HOST
    look = queue.store.jobs_to_fetch

    async def end_one_and_look(priority: Priority, *arguments: Any) -> list[str]:
        if priority is Priority.LOW:
            queue.end("a", high)
        return await look(priority, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(queue.store, "jobs_to_fetch", end_one_and_look)
        assert await queue.begin(32) == []
    assert await queue.begin(32) == [(high, "a")]
    queue.end("a", high)
    assert await queue.begin(32) == [(low, "a")]


async def test_a_higher_priority_is_asked_for_first(queue: Queue) -> None:
    low = await queue.submit("a", "b", priority=Priority.LOW)
    normal = await queue.submit("a")
    high = await queue.submit("b", "c", priority=Priority.HIGH)
    begun = [await queue.begin(1) for _ in range(6)]
    assert begun == [
        [(high, "b")], [(high, "c")], [(normal, "a")], [(low, "a")], [(low, "b")], [],
    ]  # fmt: skip


async def test_a_lower_priority_is_asked_for_where_the_higher_one_has_to_wait(
    queue: Queue,
) -> None:
    high = await queue.submit("a", "a", "a", priority=Priority.HIGH)
    low = await queue.submit("a", "b", priority=Priority.LOW)
    assert [await queue.begin(4) for _ in range(4)] == [
        [(high, "a"), (high, "a")], [(low, "b")], [], [],
    ]  # fmt: skip
    queue.end("a", high)
    assert await queue.begin(4) == [(high, "a")]


async def test_one_image_does_not_wait_behind_a_job_with_many_hosts(queue: Queue) -> None:
    large = await queue.submit(*(f"a{n}" for n in range(300)))
    await queue.begin(1)
    small = await queue.submit("z")
    assert (small, "z") in await queue.begin(2)
    assert {job for job, _ in await queue.begin(9)} == {large}


async def test_jobs_take_turns_whatever_room_there_is(queue: Queue) -> None:
    jobs = [await queue.submit(*(f"{name}{n}" for n in range(9))) for name in "abc"]
    begun = [(await queue.begin(1))[0][0] for _ in range(4)]
    begun += [job for job, _ in sorted(await queue.begin(8))]
    assert begun[:4] == [*jobs, jobs[0]]
    assert sorted(begun) == sorted(jobs * 4)


async def test_a_round_begins_with_the_job_after_the_last_one_of_the_round_before(
    queue: Queue,
) -> None:
    one, two, three = [await queue.submit(*"abcd") for _ in range(3)]
    begun = []
    for _ in range(3):
        round_ = await queue.begin(2)
        begun.append({job for job, _ in round_})
        for job, host in round_:
            queue.end(host, job)
    assert begun == [{one, two}, {three, one}, {two, three}]


async def test_jobs_take_turns_at_one_host(queue: Queue) -> None:
    jobs = [await queue.submit("a", "a", "a") for _ in range(2)]
    begun = []
    for _ in range(6):
        ((job, host),) = await queue.begin(1)
        begun.append((job, host))
        queue.end(host, job)
    assert begun == [(job, "a") for _ in range(3) for job in jobs]


async def test_a_job_without_answers_leaves_the_others_their_places_at_a_host(queue: Queue) -> None:
    silent = await queue.submit(*"aaaaaaaa")
    answered = await queue.submit(*"aaaaaaaa")
    for _ in range(6):
        for job, host in await queue.begin(4):
            if job == answered:
                queue.end(host, job)
    assert queue.turns.in_flight_of(silent) == 1  # of two places


async def test_a_round_gives_nobody_more_because_another_has_had_one(queue: Queue) -> None:
    queue.turns = FetchTurns(4, queue.on_trial.__contains__)
    queue.picker = Picker(queue.store, queue.turns)
    silent = await queue.submit(*"aaaa")
    answered = await queue.submit(*"aaaa")
    for job, host in await queue.begin(4):
        if job == answered:
            queue.end(host, job)
    assert await queue.begin(4) == [(answered, "a")] * 2
    assert queue.turns.in_flight_of(silent) == 2


async def test_a_job_of_silent_hosts_leaves_the_others_their_share_of_all_places(
    queue: Queue,
) -> None:
    silent = await queue.submit(*(f"s{n}" for n in range(30)))
    answered = await queue.submit(*(f"a{n}" for n in range(30)))
    under_way: list[tuple[str, str]] = []
    for _ in range(6):
        under_way += await queue.begin(8 - len(under_way))
        for job, host in under_way:
            if job == answered:
                queue.end(host, job)
        under_way = [one for one in under_way if one[0] == silent]
    assert queue.turns.in_flight_of(silent) == 4


async def test_hosts_take_turns_within_a_job(queue: Queue) -> None:
    await queue.submit(*["a", "b", "c"] * 3)
    begun = []
    for _ in range(6):
        ((job, host),) = await queue.begin(1)
        begun.append(host)
        queue.end(host, job)
    assert begun == ["a", "b", "c"] * 2


async def test_all_hosts_of_a_job_begin_in_one_round(queue: Queue) -> None:
    await queue.submit(*["a", "b", "c"] * 3)
    assert sorted(host for _, host in await queue.begin(4)) == ["a", "a", "b", "c"]
    assert sorted(host for _, host in await queue.begin(32)) == ["b", "c"]
    assert await queue.begin(32) == []


async def test_a_host_on_trial_is_asked_for_one_image(queue: Queue) -> None:
    queue.on_trial.add("a.example")
    for _ in range(3):
        await queue.submit("a")
    assert len(await queue.begin(9)) == 1
    assert await queue.begin(9) == []


@pytest.mark.parametrize(("busy", "room"), [("a", 9), ("a", 1), ("z", 1)])
async def test_jobs_of_a_busy_host_hold_up_nobody_however_many_they_are(
    queue: Queue, busy: str, room: int
) -> None:
    for _ in range(2 * JOBS_AT_ONCE + 20):
        await queue.submit(busy)
    behind = [await queue.submit(host) for host in ("b", "b", "c")]
    assert len(await queue.begin(9)) == PER_HOST
    begun: list[tuple[str, str]] = []
    while more := await queue.begin(room):
        assert len(more) <= room
        begun += more
    assert sorted(begun) == [(behind[0], "b"), (behind[1], "b"), (behind[2], "c")]


async def test_behind_many_jobs_of_a_busy_host_jobs_take_turns_as_well(queue: Queue) -> None:
    for _ in range(JOBS_AT_ONCE + 20):
        await queue.submit("a")
    behind = [await queue.submit(*"bbbb") for _ in range(2)]
    await queue.begin(PER_HOST)
    begun = []
    for _ in range(4):
        ((job, host),) = await queue.begin(1)
        begun.append(job)
        queue.end(host, job)
    assert sorted(begun[2:]) == behind


async def test_nothing_is_picked_without_room_or_work(queue: Queue) -> None:
    assert await queue.begin(9) == []
    await queue.submit("a")
    assert await queue.begin(0) == []


async def test_a_host_that_fails_while_it_is_picked_does_not_hold_up_the_round(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hosts in ("h", "h", "gh", "gh"):
        await queue.submit(*hosts)
    breakers = Breakers()
    turns = FetchTurns(4, breakers.is_on_trial)
    turns.begin("h.example", "another job")
    ask = queue.store.fetch_offers

    async def fail_meanwhile(*wanted: Any) -> Any:
        offers = await ask(*wanted)
        breakers.note_failure("h.example")
        turns.end("h.example", "another job")
        return offers

    monkeypatch.setattr(queue.store, "fetch_offers", fail_meanwhile)
    picks = await Picker(queue.store, turns).pick(32)
    begun = await queue.store.begin_fetches(picks, 2_000)
    assert Counter(map(_host, begun)) == {"h.example": 1, "g.example": 2}


@pytest.mark.parametrize("own", [0, 20])
@pytest.mark.parametrize("shared", [1, 8, 20])
async def test_a_round_fills_all_places_although_many_jobs_have_the_same_hosts(
    queue: Queue, shared: int, own: int
) -> None:
    queue.turns = FetchTurns(4, queue.on_trial.__contains__)
    queue.picker = Picker(queue.store, queue.turns)
    same = [f"a{number}" for number in range(shared)]
    for job in range(40):
        await queue.submit(*same, *(f"b{job}-{number}" for number in range(own)))
    begun = await queue.begin(32)
    assert len(begun) == min(32, 4 * shared + 40 * own)
    assert set(Counter(job for job, _ in begun).values()) == {1}
    assert max(Counter(host for _, host in begun).values()) == 4


@pytest.fixture
def one_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each job is looked at, at least."""
    monkeypatch.setattr(picks_module, "HOSTS_AT_LEAST", 1)


@pytest.mark.usefixtures("one_host")
@pytest.mark.parametrize("names", ["bcdefg", "gfedcb"])
async def test_a_job_of_more_hosts_than_are_looked_at_is_not_given_the_same_ones_again(
    queue: Queue, names: str
) -> None:
    for _ in range(5):
        await queue.submit("a")
    await queue.begin(PER_HOST)
    large = await queue.submit(*(name for name in names for _ in range(9)))
    begun = [sorted(await queue.begin(4)) for _ in range(3)]
    assert begun == [[(large, host) for host in two] for two in ("bc", "de", "fg")]


@pytest.mark.usefixtures("one_host")
async def test_a_job_of_more_hosts_than_are_looked_at_is_not_passed_over(queue: Queue) -> None:
    queue.turns = FetchTurns(9, queue.on_trial.__contains__)
    queue.picker = Picker(queue.store, queue.turns)
    queue.on_trial |= {"b.example", "c.example"}
    first = await queue.submit("b")
    large = await queue.submit("b", "c", "d")
    last = await queue.submit(*"yyyy")
    assert await queue.begin(4) == [(first, "b"), (large, "c"), (last, "y")]
    assert await queue.begin(1) == [(large, "d")]


async def test_places_that_a_job_has_too_few_images_for_are_filled_by_the_next_round(
    queue: Queue,
) -> None:
    small = await queue.submit("a", "b")
    large = await queue.submit(*"cdefgh" * 9)
    queue.turns = FetchTurns(9, queue.on_trial.__contains__)
    queue.picker = Picker(queue.store, queue.turns)
    begun: list[tuple[str, str]] = []
    while more := await queue.begin(16 - len(begun)):
        begun += more
    assert Counter(job for job, _ in begun) == {small: 2, large: 14}
