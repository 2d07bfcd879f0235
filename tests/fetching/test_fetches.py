"""Fetches in the background: who is asked when, and what is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.stage import Stage
from imgsvc.errors import Internal, StorageFull
from imgsvc.fetching.fetcher import Fetcher
from imgsvc.store.store import Store
from tests.fetching.background import Background, background
from tests.fetching.hosts import Clock, Gate, Host, answer, hang_up, running_host
from tests.pictures import make_jpeg
from tests.store.builders import claim

PICTURE = make_jpeg(64, 48)


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


async def test_a_try_waits_for_all_earlier_ones_not_for_the_last_alone(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their file has its name, and one that is broken off while it waits is soon done."""
    fetch, discard = Fetcher.fetch, Stage.discard
    asked: list[str] = []
    discarding, may_discard = asyncio.Event(), asyncio.Event()

    async def fetch_noted(*wanted: Any, **options: Any) -> None:
        asked.append("image")
        await fetch(*wanted, **options)

    async def discard_late(stage: Stage) -> None:
        if not discarding.is_set():
            discarding.set()
            await may_discard.wait()
        await discard(stage)

    monkeypatch.setattr(Fetcher, "fetch", fetch_noted)
    monkeypatch.setattr(Stage, "discard", discard_late)
    gate = Gate(answer(PICTURE))
    host.answers["/"] = [gate, answer(PICTURE)]
    job = await back.submit(host.url())
    await back.fetches.run_once()
    await gate.reached.wait()
    await back.store.cancel_job(job.id, 5_000)
    await discarding.wait()
    await back.store.retry_images(job.id)
    await back.fetches.run_once()
    tries = [task for task in asyncio.all_tasks() if task.get_name() == "fetch"]
    await back.store.cancel_job(job.id, 5_000)
    await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
    await back.store.retry_images(job.id)
    await back.fetches.run_once()
    assert (len(asked), back.fetches.in_flight) == (1, 1)
    may_discard.set()
    await back.fetches.settle()
    image = await back.image(job)
    assert (image.size_bytes, len(asked)) == (len(PICTURE), 2)
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
    back.fetches._clock = lambda: round(asyncio.get_running_loop().time() * 1000)
    host.answers["/"] = [answer(status=503), answer(PICTURE)]
    async with back.running():
        await back.submit(host.url())
        await asyncio.wait_for(back.until_fetched(1), 30)


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
        await asyncio.wait_for(back.fetches.run(), 30)


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
