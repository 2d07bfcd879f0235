"""Fetches in the background: who is asked when, and what is written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.config import FetchSettings
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.states import Priority
from imgsvc.errors import Internal, StorageFull
from imgsvc.fetching.breakers import Breakers
from imgsvc.fetching.fetcher import Fetcher
from imgsvc.fetching.fetches import Fetches
from imgsvc.fetching.url_images import url_image
from imgsvc.intake.headers import weigh
from imgsvc.store.store import Store
from tests.fetching.hosts import Clock, Gate, Host, answer, hang_up, running_host
from tests.pictures import make_jpeg
from tests.store.builders import claim, new_job

PICTURE = make_jpeg(64, 48)


@dataclass
class Background:
    """Fetches that run when a test says so. fetched: jobs that got work for a worker."""

    store: Store
    blobs: BlobStore
    fetches: Fetches
    clock: Clock
    fetched: list[str]

    async def submit(self, *urls: str, **fields: object) -> Job:
        job = new_job(**fields)
        await self.blobs.stage(job.id).sync()
        images = await weigh([url_image(url, None) for url in urls], job.recipe)
        return await self.store.create_job(job, images, 1_000)

    async def run_once(self) -> None:
        """Begin what can begin, and see it end."""
        await self.fetches.run_once()
        await self.fetches.settle()

    async def run_through(self) -> None:
        """Until nothing is left that could begin now."""
        while any([await self.store.hosts_to_fetch(p, 1) for p in Priority]):
            await self.run_once()

    async def image(self, job: Job, index: int = 0) -> Image:
        return await self.store.image(job.id, index)

    async def states(self, job: Job) -> list[str]:
        return [image.state.value async for image in self.store.iter_images(job.id)]

    def kept(self, job: Job) -> list[Path]:
        """What stands on disk for the job."""
        folder = self.blobs.input_path(job.id, job.id).parent
        return sorted(folder.iterdir()) if folder.exists() else []


@asynccontextmanager
async def background(
    tmp_path: Path, blobs: BlobStore, clock: Clock, **settings: Any
) -> AsyncIterator[Background]:
    wanted = FetchSettings(**{"allow_private": True, **settings})
    store = await Store.open(tmp_path / "imgsvc.db")
    breakers = Breakers(clock)
    fetched: list[str] = []
    fetches = Fetches(
        store,
        blobs,
        Fetcher(wanted, breakers, max_image_bytes=100_000, clock=clock),
        breakers,
        per_host=wanted.per_host,
        concurrency=wanted.concurrency,
        reserve_bytes=0,
        on_fetched=lambda job: fetched.append(job.id),
        clock=clock,
    )
    store.subscribe(fetches.follow)
    try:
        yield Background(store, blobs, fetches, clock, fetched)
    finally:
        await fetches.stop()
        await store.close()


@pytest.fixture
async def back(tmp_path: Path, blobs: BlobStore, clock: Clock) -> AsyncIterator[Background]:
    async with background(tmp_path, blobs, clock) as running:
        yield running


async def test_what_is_fetched_waits_for_a_worker_with_its_bytes(
    back: Background, host: Host
) -> None:
    host.answers["/"] = answer(PICTURE)
    job = await back.submit(host.url())
    guessed_ms = job.remaining_ms
    await back.run_once()
    image = await back.image(job)
    assert (image.state, image.attempts, image.last_error) == ("pending", 0, None)
    assert image.size_bytes == len(PICTURE)
    assert back.blobs.input_path(job.id, image.id).read_bytes() == PICTURE
    assert back.fetched == [job.id]
    assert 0 < (await back.store.job(job.id)).remaining_ms < guessed_ms
    assert [i.id for i in await claim(back.store, job)] == [image.id]


async def test_what_fails_for_good_leaves_nothing_behind(back: Background, host: Host) -> None:
    host.answers["/long"] = answer(PICTURE + bytes(200_000), length=None)
    job = await back.submit(host.url("/gone"), host.url("/long"))
    await back.run_once()
    images = [await back.image(job, index) for index in range(2)]
    assert [image.error and image.error.code for image in images] == [
        "fetch_failed", "too_many_bytes",
    ]  # fmt: skip
    assert [image.attempts for image in images] == [1, 1]
    assert (await back.store.job(job.id)).state == "failed"
    assert back.kept(job) == []


async def test_what_may_pass_is_tried_three_times_after_one_second_and_four(
    back: Background, host: Host
) -> None:
    host.answers["/"] = answer(status=503)
    job = await back.submit(host.url())
    waits = []
    while (await back.image(job)).state == "pending":
        await back.run_once()
        if next_ms := await back.store.next_fetch_ms():
            waits.append((next_ms - back.clock()) / 1000)
            back.clock.advance(waits[-1] - 0.001)
            await back.run_once()
            assert len(host.asked) == len(waits)
            back.clock.advance(0.001)
    assert len(host.asked) == 3
    assert 0.75 <= waits[0] <= 1.25
    assert 3 <= waits[1] <= 5
    image = await back.image(job)
    assert (image.state, image.attempts) == ("failed", 3)
    assert image.error is not None
    assert image.error.message == "The host answered with status 503."


async def test_a_try_after_failures_may_go_well(back: Background, host: Host) -> None:
    host.answers["/"] = [hang_up, hang_up, answer(PICTURE, length=9_999), answer(PICTURE)]
    job = await back.submit(host.url())
    await back.run_once()
    image = await back.image(job)
    assert (image.state, image.attempts) == ("pending", 1)
    assert image.last_error is not None
    assert (image.last_error.code, back.kept(job)) == ("fetch_failed", [])
    for _ in range(2):
        back.clock.advance(6)
        await back.run_once()
    image = await back.image(job)
    assert (image.sha256 is not None, image.attempts, image.last_error) == (True, 2, None)


@pytest.mark.parametrize(("asked", "wait_s"), [("12", 12.0), ("3600", 30.0)])
async def test_a_host_that_wants_patience_gets_some(
    back: Background, host: Host, asked: str, wait_s: float
) -> None:
    host.answers["/"] = answer(status=429, Retry_After=asked)
    await back.submit(host.url())
    await back.run_once()
    assert await back.store.next_fetch_ms() == back.clock() + wait_s * 1000


async def test_no_host_is_asked_for_more_than_some_images_at_once(
    tmp_path: Path, blobs: BlobStore, clock: Clock, host: Host, other_host: Host
) -> None:
    async with background(tmp_path, blobs, clock, per_host=3, concurrency=5) as back:
        first, second = Gate(answer(PICTURE)), Gate(answer(PICTURE))
        host.answers["/"], other_host.answers["/"] = first, second
        await back.submit(*[host.url()] * 20)
        await back.submit(*[other_host.url()] * 20)
        await back.fetches.run_once()
        assert back.fetches.in_flight == 5
        first.opened.set()
        second.opened.set()
        await back.fetches.settle()
        await back.run_through()
        assert (host.most_at_once, other_host.most_at_once) <= (3, 3)
        assert (len(host.asked), len(other_host.asked)) == (20, 20)


async def test_an_image_of_a_small_job_does_not_wait_behind_a_large_one(
    tmp_path: Path, blobs: BlobStore, clock: Clock, host: Host
) -> None:
    host.answers["/"] = host.answers["/mine"] = answer(PICTURE)
    async with background(tmp_path, blobs, clock, per_host=1) as back:
        await back.submit(*[host.url()] * 50)
        await back.run_once()
        mine = await back.submit(host.url("/mine"))
        for _ in range(2):
            await back.run_once()
        assert (await back.image(mine)).sha256 is not None
        assert len(host.asked) <= 4


async def test_a_dead_host_is_left_alone_and_holds_up_nobody(
    back: Background, host: Host, other_host: Host
) -> None:
    host.answers["/"] = hang_up
    other_host.answers["/"] = answer(PICTURE)
    dead = await back.submit(*[host.url()] * 40)
    good = await back.submit(*[other_host.url()] * 40)
    await back.run_through()
    assert all([image.sha256 async for image in back.store.iter_images(good.id)])
    asked = len(host.asked)
    assert asked <= 2 * (5 + 4)  # a request that is hung up on is sent once more at once
    images = [image async for image in back.store.iter_images(dead.id)]
    assert 5 <= sum(image.attempts for image in images) <= 8
    assert images[-1].attempts == 0
    told = images[-1].last_error
    assert told is not None
    assert "is left alone until" in told.message
    back.clock.advance(29.9)
    await back.run_once()
    await back.run_through()
    assert len(host.asked) == asked
    back.clock.advance(0.2)
    await back.run_once()
    assert asked < len(host.asked) <= asked + 2


async def test_a_host_that_is_left_alone_costs_no_attempts(back: Background, host: Host) -> None:
    host.answers["/"] = answer(status=503)
    job = await back.submit(*[host.url()] * 20)
    await back.run_through()
    back.clock.advance(31)
    await back.run_once()  # one image tries the host, in vain
    await back.run_through()
    host.answers["/"] = answer(PICTURE)
    back.clock.advance(61)
    await back.run_once()
    await back.run_through()
    images = [image async for image in back.store.iter_images(job.id)]
    assert all(image.sha256 for image in images)
    assert max(image.attempts for image in images) <= 2


async def test_a_host_that_does_not_come_back_is_not_waited_for_for_ever(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.answers["/"] = answer(status=503)
    job = await back.submit(*[host.url()] * 20)
    passed_s = 0
    while not (await back.store.job(job.id)).state.is_final:
        await back.run_once()
        await back.run_through()
        back.clock.advance(5)
        passed_s += 5
    assert 120 <= passed_s <= 240
    images = [image async for image in back.store.iter_images(job.id)]
    assert sum(image.attempts for image in images) == len(host.asked) <= 5 + 4 + 3
    assert images[-1].attempts == 0
    assert images[-1].error is not None
    assert "is left alone until" in images[-1].error.message
    submitted_ms = back.clock()
    monkeypatch.setattr("imgsvc.fetching.fetches.created_ms", lambda _: submitted_ms)
    later = await back.submit(host.url())
    await back.run_once()
    assert (await back.image(later)).state == "pending"


async def test_a_host_on_trial_is_asked_for_one_image_first(back: Background, host: Host) -> None:
    host.answers["/"] = answer(status=503)
    job = await back.submit(*[host.url()] * 20)
    await back.run_through()
    back.clock.advance(31)
    gate = Gate(answer(PICTURE))
    host.answers["/"], before = gate, len(host.asked)
    await back.fetches.run_once()
    await gate.reached.wait()
    await back.fetches.run_once()
    assert (len(host.asked), back.fetches.in_flight) == (before + 1, 1)
    gate.opened.set()
    await back.fetches.settle()
    await back.run_through()
    assert all([image.sha256 async for image in back.store.iter_images(job.id)])


async def test_a_cancel_breaks_the_fetch_off(back: Background, host: Host) -> None:
    gate = Gate(answer(PICTURE))
    host.answers["/"] = gate
    job = await back.submit(host.url(), host.url())
    await back.fetches.run_once()
    await gate.reached.wait()
    await back.store.cancel_job(job.id, 5_000)
    await back.fetches.settle()
    assert await back.states(job) == ["cancelled", "cancelled"]
    assert [(await back.image(job, index)).attempts for index in range(2)] == [0, 0]
    assert back.kept(job) == []


async def test_what_is_taken_up_again_at_once_is_fetched_anew(back: Background, host: Host) -> None:
    gate = Gate(answer(make_jpeg(10, 10)))
    host.answers["/"] = [gate, answer(PICTURE)]
    job = await back.submit(host.url())
    await back.fetches.run_once()
    await gate.reached.wait()
    await back.store.cancel_job(job.id, 5_000)
    await back.store.retry_images(job.id)
    await back.run_once()
    gate.opened.set()
    image = await back.image(job)
    assert (image.size_bytes, image.attempts) == (len(PICTURE), 0)
    assert back.blobs.input_path(job.id, image.id).read_bytes() == PICTURE


async def test_a_deleted_job_stays_deleted(back: Background, host: Host) -> None:
    async def send_half(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(PICTURE)[:300])
        await gate(writer)

    gate = Gate(b"")
    host.answers["/"] = send_half
    job = await back.submit(host.url(), host.url())
    await back.fetches.run_once()
    await gate.reached.wait()
    await back.store.delete_job(job.id)
    await back.blobs.delete_job(job.id)
    await back.fetches.settle()
    assert await back.blobs.job_folders() == []
    assert back.fetched == []


async def test_at_the_end_what_runs_is_given_back(back: Background, host: Host) -> None:
    gate = Gate(answer(PICTURE))
    host.answers["/"] = gate
    job = await back.submit(*[host.url()] * 6)
    await back.fetches.run_once()
    await gate.reached.wait()
    assert (await back.states(job)).count("fetching") == 4
    await back.fetches.stop()
    assert await back.states(job) == ["pending"] * 6
    assert {image.attempts async for image in back.store.iter_images(job.id)} == {0}
    assert back.kept(job) == []
    await back.run_once()
    assert back.fetches.in_flight == 0


async def test_what_a_crash_left_half_is_replaced(back: Background, host: Host) -> None:
    host.answers["/"] = answer(PICTURE)
    job = await back.submit(host.url())
    image = await back.image(job)
    back.blobs.input_path(job.id, image.id).write_bytes(b"half of something else" * 999)
    await back.run_once()
    assert back.blobs.input_path(job.id, image.id).read_bytes() == PICTURE


async def test_a_full_disk_is_waited_for_and_costs_no_attempt(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.answers["/"] = answer(PICTURE)
    job = await back.submit(host.url())
    with _full_disk(monkeypatch):
        await back.run_once()
    image = await back.image(job)
    assert (image.state, image.attempts) == ("pending", 0)
    assert image.last_error is not None
    assert image.last_error.code == "storage_full"
    back.clock.advance(2)
    await back.run_once()
    assert (await back.image(job)).sha256 is not None


@contextmanager
def _full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    async def refuse(*_: object) -> None:
        raise StorageFull("There is not enough free disk space.")

    with monkeypatch.context() as patch:
        patch.setattr("imgsvc.blobs.stage.Stage.sync", refuse)
        yield


async def test_waiting_images_are_not_kept_in_memory(
    tmp_path: Path, blobs: BlobStore, clock: Clock
) -> None:
    """However many hosts and images there are, only what is under way is held."""
    async with running_host() as host, background(tmp_path, blobs, clock, concurrency=8) as back:
        gate = Gate(answer(PICTURE))
        host.answers["/"] = gate
        urls = [f"http://localhost:{host.port}/"] * 500
        urls += [f"http://127.0.{n // 200}.{n % 200 + 3}:{host.port}/" for n in range(500)]
        await back.submit(*urls)
        await back.fetches.run_once()
        assert back.fetches.in_flight <= 8
        held = back.fetches
        assert max(len(held._tasks), len(held._open), len(held._turns._last_hosts)) <= 8
        gate.opened.set()


async def test_the_background_service_wakes_for_new_work_and_for_later_tries(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgsvc.fetching.fetches.random.random", lambda: 0.0)
    monkeypatch.setattr("imgsvc.domain.retries.FETCH_DELAYS_S", (0.02, 0.02))
    fetches = back.fetches
    back.fetches._clock = lambda: round(asyncio.get_running_loop().time() * 1000)
    host.answers["/"] = [answer(status=503), answer(PICTURE)]
    arrived = asyncio.Event()
    monkeypatch.setattr(fetches, "_on_fetched", lambda _: arrived.set())
    running = asyncio.create_task(fetches.run())
    await back.submit(host.url())
    await asyncio.wait_for(arrived.wait(), 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_mistake_of_ours_costs_one_image(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(Fetcher, "fetch", die)
    job = await back.submit(host.url())
    await back.run_once()
    image = await back.image(job)
    assert image.error is not None
    assert image.error.code == "internal"
    assert "secret" not in image.error.message


async def test_a_record_that_cannot_be_written_is_heard_of(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise Internal("The database refused an operation")

    monkeypatch.setattr(Store, "fail_fetch", refuse)
    await back.submit(host.url("/gone"))
    with pytest.raises(Internal):
        await asyncio.wait_for(back.fetches.run(), 10)


async def test_nothing_is_begun_while_the_disk_is_nearly_full(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.answers["/"] = answer(PICTURE)
    job = await back.submit(host.url())
    monkeypatch.setattr(back.fetches, "_reserve_bytes", 1 << 60)
    await back.run_once()
    assert (await back.states(job), host.asked) == (["pending"], [])
    monkeypatch.setattr(back.fetches, "_reserve_bytes", 0)
    await back.run_once()
    assert (await back.image(job)).sha256 is not None
