"""Images that are led from one host to another: each waits for a turn at each."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.config import FetchSettings
from imgsvc.domain.ids import new_id
from imgsvc.domain.states import Priority
from imgsvc.errors import ImageErrorCode
from imgsvc.fetching.breakers import FAILURES, FIRST_PAUSE_S, Breakers
from imgsvc.fetching.fetcher import Fetcher
from imgsvc.fetching.unfetched import LedOn, Unfetched
from imgsvc.fetching.ways import BELIEVED_S, Way, way_of
from tests.fetching.background import Background, background
from tests.fetching.hosts import Clock, Gate, Host, answer, redirect, running_host
from tests.pictures import make_jpeg

PICTURE = make_jpeg(64, 48)


async def lead_on(back: Background, host: Host, target: str) -> None:
    """See the images that can begin led on from the host, and no further."""
    gate = Gate(redirect(target))
    host.answers["/"] = gate
    await back.fetches.run_once()
    gate.opened.set()
    await back.fetches.settle()


async def test_a_host_that_others_lead_to_has_no_more_requests_than_any(
    tmp_path: Path, blobs: BlobStore, clock: Clock, host: Host, other_host: Host
) -> None:
    crowded = asyncio.Event()

    async def serve(writer: asyncio.StreamWriter) -> None:
        if other_host.at_once == 4:
            crowded.set()
        await crowded.wait()
        writer.write(answer(PICTURE))
        await writer.drain()

    host.answers["/"], other_host.answers["/"] = redirect(other_host.url()), serve
    async with background(tmp_path, blobs, clock, per_host=4) as back:
        job = await back.submit(*[host.url()] * 12, *[other_host.url()] * 6)
        await back.run_through()
        images = [image async for image in back.store.iter_images(job.id)]
    assert all(image.sha256 for image in images)
    assert (len(host.asked), len(other_host.asked)) == (12, 18)
    assert other_host.most_at_once == 4


async def test_who_waits_for_the_host_it_was_led_to_holds_up_nobody(
    tmp_path: Path, blobs: BlobStore, clock: Clock, host: Host, other_host: Host
) -> None:
    gate = Gate(answer(PICTURE))
    host.answers["/"], other_host.answers = redirect(other_host.url()), {"/": gate}
    async with (
        running_host() as good,
        background(tmp_path, blobs, clock, per_host=1, concurrency=2) as back,
        asyncio.timeout(30),
    ):
        good.answers["/"] = answer(PICTURE)
        led = await back.submit(*[host.url()] * 3)
        async with back.running():
            await gate.reached.wait()
            job = await back.submit(*[good.url()] * 3)
            await back.until_fetched(3)
            assert all([image.sha256 async for image in back.store.iter_images(job.id)])
            assert len(other_host.asked) == 1
            gate.opened.set()
            await back.until_fetched(6)
        assert [(await back.image(led, index)).attempts for index in range(3)] == [0, 0, 0]
    assert (len(host.asked), len(other_host.asked)) == (3, 3)


async def test_who_is_led_on_waits_behind_a_higher_priority(
    tmp_path: Path, blobs: BlobStore, clock: Clock, host: Host, other_host: Host
) -> None:
    other_host.answers = {"/low": answer(PICTURE), "/high": answer(PICTURE)}
    async with background(tmp_path, blobs, clock, per_host=1) as back:
        await back.submit(host.url(), priority=Priority.LOW)
        await lead_on(back, host, other_host.url("/low"))
        await back.submit(*[other_host.url("/high")] * 3, priority=Priority.HIGH)
        await back.run_through()
    assert other_host.asked == ["/high", "/high", "/high", "/low"]


async def test_hosts_that_lead_to_each_other_do_not_wait_for_each_other(
    tmp_path: Path, blobs: BlobStore, clock: Clock, host: Host, other_host: Host
) -> None:
    host.answers = {"/": redirect(other_host.url("/a.jpg")), "/a.jpg": answer(PICTURE)}
    other_host.answers = {"/": redirect(host.url("/a.jpg")), "/a.jpg": answer(PICTURE)}
    async with background(tmp_path, blobs, clock, per_host=1) as back:
        job = await back.submit(*[host.url(), other_host.url()] * 5)
        await back.run_through()
        images = [image async for image in back.store.iter_images(job.id)]
    assert all(image.sha256 for image in images)
    assert (host.most_at_once, other_host.most_at_once) == (1, 1)


async def test_redirects_from_host_to_host_come_to_an_end(
    back: Background, host: Host, other_host: Host
) -> None:
    host.answers["/"], other_host.answers["/"] = redirect(other_host.url()), redirect(host.url())
    job = await back.submit(host.url())
    await back.run_through()
    image = await back.image(job)
    assert image.error is not None
    assert image.error.message == "The host redirects more than 5 times."
    assert (len(host.asked), len(other_host.asked), image.attempts) == (3, 3, 1)


async def test_a_host_that_was_left_alone_is_tried_by_one_of_those_who_are_led_to_it(
    back: Background, host: Host, other_host: Host
) -> None:
    other_host.answers["/"] = gate = Gate(answer(PICTURE))
    for _ in range(FAILURES):
        back.fetches._breakers.note_failure(f"127.0.0.2:{other_host.port}")
    back.clock.advance(FIRST_PAUSE_S)
    await back.submit(*[host.url()] * 4)
    await lead_on(back, host, other_host.url())
    await back.fetches.run_once()
    await gate.reached.wait()
    await back.fetches.run_once()
    assert (len(host.asked), len(other_host.asked), back.fetches.in_flight) == (4, 1, 1)
    gate.opened.set()
    await back.fetches.settle()


async def test_a_host_that_is_left_alone_is_not_asked_for_what_is_led_there(
    back: Background, host: Host, other_host: Host
) -> None:
    host.answers["/"], other_host.answers["/"] = redirect(other_host.url()), answer(PICTURE)
    for _ in range(FAILURES):
        back.fetches._breakers.note_failure(f"127.0.0.2:{other_host.port}")
    job = await back.submit(host.url())
    await back.run_through()
    image = await back.image(job)
    assert (image.state, image.attempts, other_host.asked) == ("pending", 0, [])
    assert await back.store.next_fetch_ms() == back.clock() + FIRST_PAUSE_S * 1000
    back.clock.advance(FIRST_PAUSE_S)
    await back.run_once()
    await back.run_through()
    assert (await back.image(job)).sha256 is not None


async def test_who_waits_for_the_host_it_was_led_to_is_asked_for_there_once_it_answers(
    back: Background, host: Host, other_host: Host
) -> None:
    """And the one that led it there is not asked again."""
    host.answers["/"], other_host.answers["/"] = redirect(other_host.url()), answer(PICTURE)
    for _ in range(FAILURES):
        back.fetches._breakers.note_failure(other_host.name)
    job = await back.submit(*[host.url()] * 6)
    await back.run_through()
    assert (len(host.asked), len(other_host.asked)) == (6, 0)
    back.fetches._breakers.note_answer(other_host.name)
    await back.run_once()
    await back.run_through()
    assert all([image.sha256 async for image in back.store.iter_images(job.id)])
    assert (len(host.asked), len(other_host.asked)) == (6, 6)


async def test_another_try_begins_at_the_image_s_own_url(
    back: Background, host: Host, other_host: Host
) -> None:
    host.answers["/"] = [redirect(other_host.url()), answer(PICTURE)]
    other_host.answers["/"] = answer(status=503)
    job = await back.submit(host.url())
    await back.run_through()
    assert (await back.image(job)).fetch_host == f"127.0.0.1:{host.port}"
    back.clock.advance(2)
    await back.run_once()
    assert (await back.image(job)).sha256 is not None
    assert len(other_host.asked) == 1


@pytest.mark.parametrize(("waited_s", "asked"), [(BELIEVED_S - 1, 1), (BELIEVED_S + 1, 2)])
async def test_a_target_that_is_refused_long_after_is_asked_for_anew(
    back: Background, host: Host, other_host: Host, waited_s: int, asked: int
) -> None:
    other_host.answers["/old"], other_host.answers["/new"] = answer(status=403), answer(PICTURE)
    job = await back.submit(host.url())
    await lead_on(back, host, other_host.url("/old"))
    host.answers["/"] = redirect(other_host.url("/new"))
    back.clock.advance(waited_s)
    await back.run_once()
    back.clock.advance(2)
    await back.run_once()
    await back.run_through()
    assert len(host.asked) == asked
    assert ((await back.image(job)).sha256 is None) is (asked == 1)


async def test_who_was_led_on_before_a_restart_goes_on_from_there(
    tmp_path: Path, blobs: BlobStore, clock: Clock, host: Host, other_host: Host
) -> None:
    other_host.answers["/a.jpg"] = gate = Gate(answer(PICTURE))
    async with background(tmp_path, blobs, clock) as back:
        job = await back.submit(host.url())
        await lead_on(back, host, other_host.url("/a.jpg"))
    async with background(tmp_path, blobs, clock) as back:
        await back.fetches.run_once()
        await gate.reached.wait()
    gate.opened.set()
    async with background(tmp_path, blobs, clock) as back:
        await back.run_through()
        assert (await back.image(job)).sha256 is not None
    assert (len(host.asked), other_host.asked) == (1, ["/a.jpg"] * 2)


async def test_how_far_an_image_has_got_is_kept_whole(
    back: Background, host: Host, other_host: Host
) -> None:
    job = await back.submit(host.url())
    await lead_on(back, host, other_host.url("/a.jpg"))
    way = way_of(await back.image(job))
    assert (way.address, way.redirects, way.led_ms) == (other_host.url("/a.jpg"), 1, back.clock())
    assert way.used_s > 0


async def test_fewer_redirects_may_be_allowed_by_the_time_that_an_image_goes_on(
    tmp_path: Path, blobs: BlobStore, clock: Clock, host: Host, other_host: Host
) -> None:
    host.answers["/"] = redirect(host.url("/2"))
    host.answers["/2"], other_host.answers["/"] = redirect(other_host.url()), redirect(host.url())
    async with background(tmp_path, blobs, clock) as back:
        job = await back.submit(host.url())
        await back.run_once()
    async with background(tmp_path, blobs, clock, max_redirects=1) as back:
        await back.run_through()
        assert (await back.image(job)).error is not None
    assert len(other_host.asked) == 1


async def test_the_time_it_took_so_far_is_kept_and_waiting_is_none_of_it(
    blobs: BlobStore, clock: Clock, host: Host, other_host: Host
) -> None:
    host.answers["/"], other_host.answers["/"] = redirect(other_host.url()), answer(PICTURE)
    settings = FetchSettings(allow_private=True)
    fetcher = Fetcher(settings, Breakers(clock), max_image_bytes=100_000)
    file = blobs.stage(new_id()).new_file()
    way = Way(host.url())
    with pytest.raises(LedOn) as caught:
        await fetcher.fetch(way, f"127.0.0.1:{host.port}", file)
    assert caught.value.host == f"127.0.0.2:{other_host.port}"
    assert (way.address, way.redirects) == (other_host.url(), 1)
    assert 0 < way.used_s < settings.total_timeout_s
    way.used_s = settings.total_timeout_s
    with pytest.raises(Unfetched) as late:
        await fetcher.fetch(way, caught.value.host, file)
    assert late.value.failure.code is ImageErrorCode.FETCH_TIMEOUT
    await file.abort()
    await fetcher.close()


async def test_a_redirect_to_a_host_that_is_no_text_ends_no_other_fetch(
    back: Background, host: Host
) -> None:
    """Where an image is led is noted; bytes that are no UTF-8 cannot be."""
    host.answers["/"] = redirect("http://[fe80::1%25ZONE]/").replace(b"ZONE", b"\xff")
    host.answers["/a.jpg"] = answer(PICTURE)
    job = await back.submit(host.url(), host.url("/a.jpg"))
    await back.run_through()
    bad, good = [await back.image(job, index) for index in range(2)]
    assert bad.error is not None
    assert (bad.error.code, good.sha256 is None) == (ImageErrorCode.FETCH_BLOCKED, False)
