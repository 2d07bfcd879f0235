from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from imgsvc.domain.ids import new_id
from imgsvc.domain.image import Image, NewImage, SourceKind
from imgsvc.domain.job import Job, JobChange
from imgsvc.domain.rendering import Failure
from imgsvc.domain.states import ImageState, JobState, Priority
from imgsvc.errors import ImageErrorCode
from imgsvc.store import fetches
from imgsvc.store.fetches import (
    FetchDelay,
    FetchedInput,
    FetchFailure,
    FetchPick,
    FetchRelease,
)
from imgsvc.store.store import Store
from tests.store.builders import claim, failed, made, new_image, new_images, new_job

BROKEN_OFF = Failure(ImageErrorCode.FETCH_FAILED, "The connection broke off.")
GONE = Failure(ImageErrorCode.FETCH_FAILED, "The host answered with status 404.")
SHA256 = "ef" * 32


def url_image(host: str = "a.example") -> NewImage:
    url = f"https://{host}/a.jpg"
    return new_image(
        kind=SourceKind.URL, url=url, fetch_host=host, size_bytes=None, sha256=None, cost_ms=5
    )


async def create(store: Store, *hosts: str, **fields: object) -> Job:
    return await store.create_job(new_job(**fields), [url_image(host) for host in hosts], 1_000)


def pick(host: str = "a.example", job_id: str = "") -> FetchPick:
    return FetchPick(Priority.NORMAL, host, job_id)


async def begin(store: Store) -> Image:
    (image,) = await store.begin_fetches([pick()], 2_000)
    return image


async def hosts(store: Store, limit: int = 9) -> list[str]:
    return await store.hosts_to_fetch(Priority.NORMAL, limit)


def fetched(image: Image) -> FetchedInput:
    return FetchedInput(image.key, 400, SHA256, 9, image.cost_ms)


async def test_no_worker_gets_an_image_before_its_bytes_are_there(store: Store) -> None:
    job = await create(store, "a.example", "a.example")
    assert await claim(store, job) == []
    assert await store.next_try_ms(job.id) is None
    first = await begin(store)
    assert await claim(store, job) == []
    await store.finish_fetch(fetched(first), 3_000)
    assert [image.index for image in await claim(store, job)] == [0]


async def test_a_fetch_that_goes_well_costs_no_attempt(store: Store, told: list[JobChange]) -> None:
    job = await create(store, "a.example")
    image = await begin(store)
    assert (image.state, image.attempts, image.claim) == (ImageState.FETCHING, 1, 1)
    assert (image.started_at, image.fetch_host) == (None, "a.example")
    started = await store.job(job.id)
    assert (started.state, started.started_at) == (JobState.PROCESSING, 2_000)
    after = await store.finish_fetch(fetched(image), 3_000)
    assert after is not None
    assert (after.input_bytes, after.remaining_ms) == (400, 9)
    waiting = await store.image(job.id, 0)
    assert (waiting.state, waiting.attempts) == (ImageState.PENDING, 0)
    assert (waiting.size_bytes, waiting.sha256, waiting.cost_ms) == (400, SHA256, 9)
    assert [c.images[0].image.state for c in told if c.images] == ["fetching", "pending"]
    (worked_on,) = await claim(store, job)
    assert (worked_on.attempts, worked_on.claim) == (1, 2)
    await store.finish_images([made(worked_on)], 4_000)
    assert (await store.job(job.id)).remaining_ms == 0


async def test_a_fetch_may_fail_for_good(store: Store) -> None:
    job = await create(store, "a.example")
    image = await begin(store)
    assert await store.fail_fetch(FetchFailure(image.key, GONE), 3_000)
    after = await store.job(job.id)
    assert (after.state, after.failed, after.errors) == ("failed", 1, {"fetch_failed": 1})
    assert (after.remaining_ms, after.input_bytes, store.pending_images) == (0, 0, 0)
    kept = await store.image(job.id, 0)
    assert (kept.error, kept.attempts, kept.finished_at) == (GONE, 1, 3_000)


@pytest.mark.parametrize(("counts", "attempts"), [(True, 1), (False, 0)])
async def test_a_fetch_may_be_put_off(store: Store, counts: bool, attempts: int) -> None:
    job = await create(store, "a.example")
    image = await begin(store)
    assert await store.release_fetch(FetchRelease(image.key, counts, BROKEN_OFF, 9_000), 3_000)
    waiting = await store.image(job.id, 0)
    assert (waiting.state, waiting.attempts) == (ImageState.PENDING, attempts)
    assert (waiting.last_error, waiting.error) == (BROKEN_OFF, None)
    assert await store.next_fetch_ms() == 9_000
    assert await hosts(store) == []
    assert await store.ripen_fetches(8_999, 10) == 0
    assert await store.ripen_fetches(9_000, 10) == 1
    assert await store.next_fetch_ms() is None
    again = await begin(store)
    assert (again.attempts, again.claim) == (attempts + 1, 2)
    await store.finish_fetch(fetched(again), 9_500)
    assert (await store.image(job.id, 0)).last_error is None


async def test_a_fetch_may_go_on_at_another_host(store: Store) -> None:
    job = await create(store, "a.example")
    image = await begin(store)
    release = FetchRelease(image.key, count_attempt=False, host="b.example", way="[]")
    await store.release_fetch(release, 3_000)
    assert await hosts(store) == ["b.example"]
    (again,) = await store.begin_fetches([pick("b.example")], 4_000)
    assert (again.job_id, again.fetch_host, again.attempts) == (job.id, "b.example", 1)
    assert again.fetch_way == "[]"


@pytest.mark.parametrize("end", ["put off", "fetched", "failed", "cancelled"])
async def test_how_far_it_was_led_is_kept_for_one_try(store: Store, end: str) -> None:
    job = await create(store, "a.example")
    first = await begin(store)
    await store.release_fetch(FetchRelease(first.key, count_attempt=False, way="[]"), 3_000)
    image = await begin(store)
    match end:
        case "put off":
            await store.release_fetch(FetchRelease(image.key, count_attempt=True), 4_000)
        case "fetched":
            await store.finish_fetch(fetched(image), 4_000)
        case "failed":
            await store.fail_fetch(FetchFailure(image.key, GONE), 4_000)
        case "cancelled":
            await store.cancel_job(job.id, 4_000)
    assert (image.fetch_way, (await store.image(job.id, 0)).fetch_way) == ("[]", None)


async def test_those_that_waited_longest_are_let_go_first(store: Store) -> None:
    await create(store, *["a.example"] * 3)
    for fetch_at in (9_000, 7_000, 8_000):
        image = await begin(store)
        release = FetchRelease(image.key, count_attempt=True, fetch_at=fetch_at)
        await store.release_fetch(release, 3_000)
    assert await store.ripen_fetches(10_000, 2) == 2
    assert await store.next_fetch_ms() == 9_000


async def test_of_a_host_that_is_left_alone_what_it_was_never_asked_for_waits_at_once(
    store: Store, told: list[JobChange], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetches, "DELAY_AT_ONCE", 3)
    job = await create(store, *["a.example"] * 3, "b.example")
    other = await create(store, "a.example", "a.example")
    low = await create(store, "a.example", priority=Priority.LOW)
    asked = await begin(store)
    await store.release_fetch(FetchRelease(asked.key, count_attempt=True), 2_000)
    told.clear()
    alone = replace(pick(), count=9, delay=FetchDelay(9_000, BROKEN_OFF))
    begun = await store.begin_fetches([alone, replace(alone, job_id=job.id), pick("b.example")], 1)
    assert [(image.job_id, image.index) for image in begun] == [(job.id, 0), (job.id, 3)]
    waiting = [(change.job.id, changed.image) for change in told for changed in change.images]
    delayed = [(job_id, image.index) for job_id, image in waiting if image.state == "pending"]
    assert delayed == [(job.id, 1), (job.id, 2), (other.id, 0)]
    assert (await store.image(job.id, 1)).last_error == BROKEN_OFF
    assert await store.next_fetch_ms() == 9_000
    assert await store.jobs_to_fetch(Priority.NORMAL, "", 9) == [other.id]
    assert await store.jobs_to_fetch(Priority.LOW, "", 9) == [low.id]
    assert (await store.job(other.id)).state is JobState.PENDING
    assert await store.recall_fetches("a.example", 9_000, 9) == 3


async def test_those_that_wait_for_a_host_until_one_time_can_be_let_go_before_it(
    store: Store,
) -> None:
    await create(store, "a.example", "a.example", "a.example", "b.example")
    picks = [pick()] * 3 + [pick("b.example")]
    for each, fetch_at in zip(picks, (9_000, 9_000, 8_000, 9_000), strict=True):
        (image,) = await store.begin_fetches([each], 2_000)
        release = FetchRelease(image.key, count_attempt=True, fetch_at=fetch_at)
        await store.release_fetch(release, 3_000)
    assert await store.recall_fetches("a.example", 9_000, 1) == 1
    assert await store.recall_fetches("a.example", 9_000, 10) == 1
    assert await store.recall_fetches("a.example", 9_000, 10) == 0
    assert await hosts(store) == ["a.example"]
    assert await store.ripen_fetches(10_000, 10) == 2


async def test_what_comes_of_an_old_try_does_not_count(store: Store) -> None:
    job = await create(store, "a.example")
    old = await begin(store)
    await store.release_fetch(FetchRelease(old.key, count_attempt=False), 3_000)
    new = await begin(store)
    assert await store.finish_fetch(fetched(old), 4_000) is None
    assert not await store.fail_fetch(FetchFailure(old.key, GONE), 4_000)
    assert not await store.release_fetch(FetchRelease(old.key, count_attempt=True), 4_000)
    assert await store.image(job.id, 0) == new
    await store.delete_job(job.id)
    assert await store.finish_fetch(fetched(new), 5_000) is None


async def test_every_host_is_found_whatever_waits_at_others(store: Store) -> None:
    await create(store, *["b.example"] * 300, "c.example", "a.example")
    assert await hosts(store) == ["a.example", "b.example", "c.example"]
    assert await hosts(store, 2) == ["a.example", "b.example"]


async def test_jobs_are_found_in_their_order_after_one(store: Store) -> None:
    jobs = [(await create(store, *["a.example"] * 30)).id for _ in range(4)]
    await create(store, "a.example", priority=Priority.LOW)
    await store.create_job(new_job(), new_images(2), 1_000)
    assert await store.jobs_to_fetch(Priority.NORMAL, "", 9) == jobs
    assert await store.jobs_to_fetch(Priority.NORMAL, jobs[0], 2) == jobs[1:3]
    assert await store.jobs_to_fetch(Priority.NORMAL, jobs[3], 2) == []


async def test_a_job_is_offered_the_hosts_after_its_last_one_that_are_not_busy(
    store: Store,
) -> None:
    job = (await create(store, *["a.example", "b.example"] * 20, "c.example")).id
    other = (await create(store, "b.example")).id
    low = (await create(store, "a.example", priority=Priority.LOW)).id

    async def offered(last: str, busy: str = "", limit: int = 9) -> tuple[str, str]:
        """To the one and the other, by their first letters."""
        asked = {job: last and f"{last}.example", other: last and f"{last}.example", low: ""}
        hosts = [f"{name}.example" for name in busy]
        found = await store.fetch_offers(Priority.NORMAL, asked, hosts, limit)
        assert found.pop(low) == []
        one, two = ("".join(host[0] for host in found[job_id]) for job_id in (job, other))
        return one, two

    assert await offered("") == ("abc", "b")
    assert await offered("b") == ("cab", "b")
    assert await offered("c") == ("abc", "b")
    assert await offered("b", limit=1) == ("c", "b")
    assert await offered("b", limit=2) == ("ca", "b")
    assert await offered("a", "b", 2) == ("ca", "")
    assert await offered("", "b", 2) == ("ac", "")
    assert await offered("", "ab", 1) == ("c", "")
    assert await offered("b", "ac") == ("b", "b")
    assert await offered("", "abc") == ("", "")


async def test_a_pick_is_of_its_job_or_of_the_next_one_there(store: Store) -> None:
    one, two, three = [(await create(store, *["a.example"] * 2)).id for _ in range(3)]
    await create(store, "b.example")
    begun = []
    for job_id in (two, two, two, three, three, three):
        begun += await store.begin_fetches([pick(job_id=job_id)], 2_000)
    assert [(image.job_id, image.index) for image in begun] == [
        (two, 0), (two, 1), (three, 0), (three, 1), (one, 0), (one, 1),
    ]  # fmt: skip
    assert await store.begin_fetches([pick(job_id=one)], 2_000) == []


async def test_a_pick_is_of_as_many_images_of_one_job_as_it_says(store: Store) -> None:
    one, two = [(await create(store, *["a.example"] * 3, "b.example")).id for _ in range(2)]

    async def begin_of(count: int, *jobs: str) -> list[tuple[str, int]]:
        picks = [FetchPick(Priority.NORMAL, "a.example", job_id, count) for job_id in jobs]
        return [(i.job_id, i.index) for i in await store.begin_fetches(picks, 2_000)]

    assert await begin_of(2, one) == [(one, 0), (one, 1)]
    assert sorted(await begin_of(2, one, two)) == sorted([(one, 2), (two, 0), (two, 1)])
    assert await begin_of(2, one) == [(two, 2)]
    assert await begin_of(2, one, two) == []
    three = (await create(store, "a.example")).id
    await create(store, *["a.example"] * 3)
    assert await begin_of(3, three) == [(three, 0)]


async def test_fetches_that_end_together_are_written_down_together(
    store: Store, told: list[JobChange]
) -> None:
    jobs = [await create(store, *["a.example"] * 3) for _ in range(2)]
    picks = [FetchPick(Priority.NORMAL, "a.example", job.id, 3) for job in jobs]
    images = await store.begin_fetches(picks, 2_000)
    await store.release_fetch(FetchRelease(images[0].key, count_attempt=False), 2_500)
    told.clear()
    ended = await asyncio.gather(*(store.finish_fetch(fetched(i), 3_000) for i in images))
    assert [job and job.id for job in ended] == [None, *(image.job_id for image in images[1:])]
    assert sorted(len(change.images) for change in told) == [2, 3]
    kept = [await store.job(job.id) for job in jobs]
    assert [(job.unfetched, job.input_bytes, job.remaining_ms) for job in kept] == [
        (1, 800, 18 + 5), (0, 1_200, 27),
    ]  # fmt: skip


async def test_priorities_are_kept_apart(store: Store) -> None:
    low = await create(store, "a.example", priority=Priority.LOW)
    await create(store, "b.example")
    assert await hosts(store) == ["b.example"]
    assert await store.begin_fetches([pick()], 2_000) == []
    (begun,) = await store.begin_fetches([FetchPick(Priority.LOW, "a.example", "")], 2_000)
    assert begun.job_id == low.id


async def test_it_is_counted_how_many_have_no_bytes_yet(store: Store) -> None:
    job = await store.create_job(
        new_job(open=True), [new_image(), *(url_image() for _ in range(3))], 1_000
    )
    assert job.unfetched == 3
    job, _ = await store.append_images(job.id, [url_image(), new_image()], 1_500)
    assert job.unfetched == 4
    await store.finish_fetch(fetched(await begin(store)), 2_000)
    assert (await store.job(job.id)).unfetched == 3
    await store.fail_fetch(FetchFailure((await begin(store)).key, GONE), 2_000)
    await store.release_fetch(FetchRelease((await begin(store)).key, count_attempt=True), 2_000)
    assert (await store.job(job.id)).unfetched == 2
    assert (await store.cancel_job(job.id, 3_000)).unfetched == 0
    assert (await store.retry_images(job.id)).unfetched == 3


async def test_several_hosts_begin_at_once(store: Store, told: list[JobChange]) -> None:
    await create(store, "a.example", "b.example")
    await create(store, "c.example")
    before = len(told)
    picks = [pick(host) for host in ("a.example", "c.example", "b.example", "d.example")]
    begun = await store.begin_fetches(picks, 2_000)
    assert sorted(image.fetch_host or "" for image in begun) == [
        "a.example", "b.example", "c.example",
    ]  # fmt: skip
    assert len(told) == before + 2


async def test_a_cancel_ends_the_waiting_and_the_fetching(store: Store) -> None:
    job = await create(store, "a.example", "a.example")
    image = await begin(store)
    await store.cancel_job(job.id, 3_000)
    cancelled = (await store.images(job.id, limit=9))[0]
    assert [(i.state, i.attempts) for i in cancelled] == [("cancelled", 0)] * 2
    assert await hosts(store) == []
    assert await store.finish_fetch(fetched(image), 4_000) is None


async def test_a_retry_by_hand_fetches_what_has_no_bytes(store: Store) -> None:
    job = await create(store, "a.example", "a.example", "a.example")
    await store.finish_fetch(fetched(await begin(store)), 3_000)
    await store.fail_fetch(FetchFailure((await begin(store)).key, GONE), 3_000)
    await store.finish_images([failed(i) for i in await claim(store, job)], 4_000)
    await store.cancel_job(job.id, 5_000)
    retried = await store.retry_images(job.id)
    assert (retried.failed, retried.cancelled) == (0, 0)
    assert [image.index for image in await claim(store, job)] == [0]
    begun = [await begin(store) for _ in range(2)]
    assert [(image.index, image.attempts) for image in begun] == [(1, 1), (2, 1)]
    assert (await store.job(job.id)).input_bytes == 400


async def test_what_nobody_can_be_asked_for_fails_of_the_same_where_a_worker_would_get_it(
    store: Store, told: list[JobChange]
) -> None:
    blocked = Failure(ImageErrorCode.FETCH_BLOCKED, "Not there.")
    void = new_image(
        kind=SourceKind.URL, url="ftp://x", size_bytes=None, sha256=None, failure=blocked
    )
    images = [replace(void, id=new_id()) for _ in range(4)]
    job = await store.create_job(new_job(), [*images[:2], new_image(), *images[2:]], 1_000)
    assert (await store.retry_images(job.id)).failed == 0
    assert await hosts(store) == []
    assert (await store.image(job.id, 0)).last_error == blocked
    told.clear()
    first, *others = await claim(store, job, 1)
    assert {(image.state, image.error) for image in (first, *others)} == {("failed", blocked)}
    assert {(image.attempts, image.started_at) for image in (first, *others)} == {(0, None)}
    (change,) = told
    assert [changed.image.index for changed in change.images] == [0, 1, 3, 4]
    assert (change.job.failed, change.job.errors) == (4, {"fetch_blocked": 4})
    (begun,) = await claim(store, job)
    assert (begun.index, begun.state) == (2, "processing")
    await store.finish_images([made(begun)], 3_000)
    assert (await store.job(job.id)).state is JobState.PARTIAL


async def test_what_was_being_fetched_at_a_crash_is_fetched_again(store: Store) -> None:
    job = await create(store, "a.example", "a.example")
    await begin(store)
    assert (await store.recover(9_000)).images == 1
    assert [(i.state, i.attempts) for i in (await store.images(job.id, limit=9))[0]] == [
        ("pending", 0), ("pending", 0),
    ]  # fmt: skip
    again = await begin(store)
    assert (again.index, again.attempts, again.claim) == (0, 1, 2)


async def test_hosts_are_named_by_pending_images_alone(store: Store) -> None:
    job = await store.create_job(new_job(), [*new_images(2), url_image()], 1_000)
    assert await hosts(store) == ["a.example"]
    assert [image.index for image in await claim(store, job)] == [0, 1]
    await begin(store)
    assert await hosts(store) == []
