"""What is counted of the changes that a store tells of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from imgsvc.domain.image import Image, SourceKind
from imgsvc.domain.job import Job
from imgsvc.domain.rendering import Failure
from imgsvc.domain.states import ImageState, Priority
from imgsvc.domain.webhook import Attempt, DeliveryError, DeliveryState
from imgsvc.errors import ImageErrorCode
from imgsvc.progress.tally import Tally
from imgsvc.store.fetches import FetchedInput, FetchFailure, FetchPick, FetchRelease
from imgsvc.store.images import ImageResult
from imgsvc.store.store import Store
from imgsvc.telemetry.metrics import Metrics
from tests.metrics_page import Page
from tests.store.builders import (
    EMPTY,
    OUTPUT,
    RENDERED,
    claim,
    create,
    failed,
    made,
    new_image,
    new_job,
    release,
)

REFUSED = Failure(ImageErrorCode.FETCH_FAILED, "The host refuses.")


class Counted:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.metrics = Metrics("1")
        self.tally = Tally(self.metrics)
        store.subscribe(self.tally.follow)

    async def page(self) -> Page:
        text, _ = await asyncio.to_thread(self.metrics.expose, plain=False)
        return Page(text.decode())

    def in_hands(self, state: ImageState, priority: Priority = Priority.NORMAL) -> int:
        return self.tally.in_hands[priority, state]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "imgsvc.db")
    yield store
    await store.close()


@pytest.fixture
def counted(store: Store) -> Counted:
    return Counted(store)


async def create_url_job(store: Store) -> Job:
    image = new_image(
        kind=SourceKind.URL,
        url="http://a.example/a.jpg",
        fetch_host="a.example",
        size_bytes=None,
        sha256=None,
    )
    return await store.create_job(new_job(), [image], 1_000)


async def begin_fetch(store: Store, job: Job) -> Image:
    pick = FetchPick(Priority.NORMAL, "a.example", job.id, 1)
    (image,) = await store.begin_fetches([pick], 2_000)
    return image


async def test_what_is_in_somebodys_hands_is_known_by_priority(counted: Counted) -> None:
    store = counted.store
    job = await create(store, 4, priority=Priority.HIGH)
    first, second, third = await claim(store, job, 3)
    assert counted.in_hands(ImageState.PROCESSING, Priority.HIGH) == 3
    await store.finish_images([made(first)], 3_000)
    await store.release_images([release(second)], 3_000)
    assert counted.in_hands(ImageState.PROCESSING, Priority.HIGH) == 1
    await store.finish_images([failed(third)], 3_000)
    assert not counted.tally.in_hands


@pytest.mark.parametrize("way", ["cancelled", "deleted"])
async def test_what_is_taken_out_of_their_hands_is_not_there_any_more(
    counted: Counted, way: str
) -> None:
    job = await create(counted.store, 2)
    await claim(counted.store, job)
    if way == "deleted":
        await counted.store.delete_job(job.id)
    else:
        await counted.store.cancel_job(job.id, 3_000)
    assert not counted.tally.in_hands
    ends = {"cancelled": 2.0} if way == "cancelled" else {}
    assert (await counted.page()).by("status", "images_total") == ends


async def test_what_has_not_happened_yet_is_0(counted: Counted) -> None:
    page = await counted.page()
    for origin in ("rendered", "reused"):
        for name in ("outputs_total", "output_bytes_total"):
            assert page.value(name, origin=origin) == 0


async def test_images_that_fail_on_the_way_in_are_counted_with_their_job(counted: Counted) -> None:
    bad = new_image(failure=EMPTY, size_bytes=0, sha256=None)
    await counted.store.create_job(new_job(), [bad], 1_000)
    job = await create(counted.store, 0, open=True)
    await counted.store.append_images(job.id, [replace(bad, id=new_image().id)], 1_000)
    page = await counted.page()
    assert page.by("error", "images_total") == {"empty_image": 2}
    assert page.by("status", "jobs_ended_total") == {"failed": 1}
    assert page.value("image_render_seconds_count") == 0


async def test_what_never_had_its_bytes_has_not_waited_for_a_worker(counted: Counted) -> None:
    bad = new_image(failure=EMPTY, size_bytes=0, sha256=None)
    job = await counted.store.create_job(new_job(), [bad], 1_000)
    await counted.store.retry_images(job.id)
    assert await claim(counted.store, job)
    assert (await counted.page()).value("image_wait_seconds_count") == 0


async def test_a_job_is_taken_in_when_it_can_be_seen(counted: Counted) -> None:
    store = counted.store
    shown = await create(store, 0, open=True, hidden=True, source="cli")
    dropped = await create(store, 0, open=True, hidden=True)
    assert (await counted.page()).by("source", "jobs_accepted_total") == {}
    await store.show_job(shown.id)
    await store.delete_job(dropped.id)
    await create(store, 1, source="watch")
    page = await counted.page()
    assert page.by("source", "jobs_accepted_total") == {"cli": 1, "watch": 1}


async def test_an_image_that_ends_twice_is_counted_twice_and_waits_once(counted: Counted) -> None:
    store = counted.store
    job = await create(store, 1)
    for _ in range(2):
        (image,) = await claim(store, job)
        await store.finish_images([failed(image)], 3_000)
        await store.retry_images(job.id)
    page = await counted.page()
    assert page.by("error", "images_total") == {"corrupt_image": 2}
    assert page.by("status", "jobs_ended_total") == {"failed": 2}
    assert page.value("image_render_seconds_count") == 2
    assert page.value("image_render_seconds_sum") == pytest.approx(0.01)
    assert page.value("image_wait_seconds_count") == 1


async def test_a_wait_is_never_less_than_nothing(counted: Counted) -> None:
    job = await create(counted.store, 1)
    await claim(counted.store, job, now_ms=2_000)  # ids are made by the real clock
    page = await counted.page()
    assert page.value("image_wait_seconds_sum") == 0


async def test_what_was_reused_is_told_apart_from_what_was_rendered(counted: Counted) -> None:
    job = await create(counted.store, 2)
    linked = replace(OUTPUT, reused=True)
    half, whole = await claim(counted.store, job)
    outcomes = {half: (OUTPUT, replace(linked, variant="icon")), whole: (linked,)}
    results = [
        ImageResult(image.key, replace(RENDERED, outputs=outputs))
        for image, outputs in outcomes.items()
    ]
    await counted.store.finish_images(results, 3_000)
    page = await counted.page()
    assert page.by("origin", "outputs_total") == {"rendered": 1, "reused": 2}
    assert page.by("origin", "output_bytes_total") == {"rendered": 100, "reused": 200}
    assert page.value("image_render_seconds_count") == 1
    assert page.value("input_bytes_total") == 20


async def test_fetches_are_counted_by_what_came_of_them(counted: Counted) -> None:
    store = counted.store
    job = await create_url_job(store)

    image = await begin_fetch(store, job)  # led on, or cut short
    assert counted.in_hands(ImageState.FETCHING) == 1
    await store.release_fetch(FetchRelease(image.key, count_attempt=False), 3_000)

    image = await begin_fetch(store, job)  # its host is left alone
    await store.release_fetch(FetchRelease(image.key, False, REFUSED), 3_000)

    image = await begin_fetch(store, job)
    await store.release_fetch(FetchRelease(image.key, True, REFUSED), 3_000)

    image = await begin_fetch(store, job)
    await store.finish_fetch(FetchedInput(image.key, 50, "ab" * 32, 1, image.cost_ms), 3_000)

    page = await counted.page()
    assert page.by("result", "fetches_total") == {"put_off": 2, "fetch_failed": 1, "fetched": 1}
    assert page.value("fetched_bytes_total") == 50
    await claim(store, job)
    assert (await counted.page()).value("image_wait_seconds_count") == 0


@pytest.mark.parametrize("way", ["failed", "cancelled"])
async def test_fetches_that_end_an_image_are_counted_once(counted: Counted, way: str) -> None:
    job = await create_url_job(counted.store)
    image = await begin_fetch(counted.store, job)
    if way == "failed":
        await counted.store.fail_fetch(FetchFailure(image.key, REFUSED), 3_000)
    else:
        await counted.store.cancel_job(job.id, 3_000)
    page = await counted.page()
    result = "fetch_failed" if way == "failed" else "cancelled"
    assert page.by("result", "fetches_total") == {result: 1}
    assert page.by("status", "images_total") == {way: 1}
    assert not counted.tally.in_hands


async def test_deliveries_are_counted_by_try_and_by_end(counted: Counted) -> None:
    for attempt in (
        Attempt(DeliveryState.PENDING, None, DeliveryError.TIMEOUT, next_at=1),
        Attempt(DeliveryState.DELIVERED, 204),
        Attempt(DeliveryState.FAILED, 500, DeliveryError.HTTP_STATUS),
    ):
        counted.tally.note_attempt(attempt)
    page = await counted.page()
    tries = page.by("result", "webhook_tries_total")
    assert tries == {"timeout": 1, "delivered": 1, "http_status": 1}
    assert page.by("state", "webhook_deliveries_total") == {"delivered": 1, "failed": 1}
