"""How many requests a host has at once, also when other hosts lead to it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.config import FetchSettings
from imgsvc.domain.ids import new_id
from imgsvc.fetching.breakers import FAILURES, FIRST_PAUSE_S, Breakers
from imgsvc.fetching.fetcher import Fetcher
from imgsvc.fetching.places import Places
from imgsvc.fetching.unfetched import Unfetched
from tests.fetching.background import background
from tests.fetching.hosts import Clock, Host, answer, redirect
from tests.pictures import make_jpeg

PICTURE = make_jpeg(64, 48)


async def test_a_host_that_others_lead_to_has_no_more_requests_than_any(
    tmp_path: Path, blobs: BlobStore, clock: Clock, host: Host, other_host: Host
) -> None:
    led, crowded = asyncio.Event(), asyncio.Event()

    async def lead(writer: asyncio.StreamWriter) -> None:
        writer.write(redirect(other_host.url()))
        if len(host.asked) == 4:
            led.set()

    async def serve(writer: asyncio.StreamWriter) -> None:
        if other_host.at_once == 4:
            crowded.set()
        await asyncio.gather(led.wait(), crowded.wait())
        writer.write(answer(PICTURE))
        await writer.drain()

    host.answers["/"], other_host.answers["/"] = lead, serve
    async with background(tmp_path, blobs, clock, per_host=4) as back:
        job = await back.submit(*[host.url()] * 12, *[other_host.url()] * 6)
        await back.fetches.run_once()
        assert back.fetches.in_flight == 8
        await back.fetches.settle()
        await back.run_through()
        images = [image async for image in back.store.iter_images(job.id)]
    assert all(image.sha256 for image in images)
    assert len(other_host.asked) == 18
    assert other_host.most_at_once == 4


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


async def test_a_host_that_was_left_alone_is_tried_by_one_of_those_who_are_led_to_it(
    blobs: BlobStore, clock: Clock, host: Host, other_host: Host
) -> None:
    host.answers["/"] = redirect(other_host.url())
    other_host.answers["/"] = answer(status=503)
    settings = FetchSettings(allow_private=True)
    fetcher = Fetcher(settings, Breakers(clock), max_image_bytes=100_000)
    stage = blobs.stage(new_id())

    async def fetch() -> None:
        file = stage.new_file()
        try:
            await fetcher.fetch(host.url(), file)
        except Unfetched:
            await file.abort()

    for _ in range(FAILURES):
        await fetch()
    clock.advance(FIRST_PAUSE_S)
    await asyncio.gather(*(fetch() for _ in range(4)))
    await fetcher.close()
    assert len(other_host.asked) == FAILURES + 1


async def test_time_spent_waiting_for_a_place_is_not_the_image_s(
    tmp_path: Path, blobs: BlobStore, clock: Clock, host: Host, other_host: Host
) -> None:
    async def take_long(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.4)
        writer.write(answer(PICTURE))

    host.answers["/"] = redirect(other_host.url())
    other_host.answers["/"] = take_long
    async with background(tmp_path, blobs, clock, per_host=1, total_timeout_s=0.7) as back:
        job = await back.submit(host.url(), other_host.url())
        await back.run_through()
        assert all([image.sha256 async for image in back.store.iter_images(job.id)])


async def test_who_does_not_wait_any_more_takes_no_place() -> None:
    places = Places(1, lambda _host: False)

    async def stay(until: asyncio.Event) -> None:
        async with places.at("a"):
            await until.wait()

    done = asyncio.Event()
    done.set()
    leave = asyncio.Event()
    first = asyncio.create_task(stay(leave))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(stay(done)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    leave.set()
    async with asyncio.timeout(5):
        await asyncio.gather(first, *waiting[1:])
