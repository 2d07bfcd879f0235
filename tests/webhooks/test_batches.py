"""Finished images are told together, none is left out, and each at least once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from imgsvc.api.documents import image_document
from imgsvc.domain.webhook import WebhookEvent
from imgsvc.store.store import Store
from imgsvc.webhooks import batches as module
from imgsvc.webhooks.batches import Batcher
from imgsvc.webhooks.deliverer import Deliverer
from tests.receivers import Receiver
from tests.store.builders import EMPTY, claim, create, failed, made, new_image, new_job
from tests.webhooks.conftest import BASE_URL, Clock, hook

IMAGES = "image.finished"


@pytest.fixture
def batcher(store: Store) -> Batcher:
    return Batcher(store, image_document, lambda: None)


def told(receiver: Receiver) -> list[list[tuple[int, str]]]:
    """Index and status of the images of each message, in the order of the messages."""
    messages = sorted(receiver.messages, key=lambda message: message.id)
    return [
        [(image["index"], image["status"]) for image in message.document["data"]["images"]]
        for message in messages
    ]


async def test_images_that_finished_go_together_as_the_api_shows_them_with_whole_links(
    store: Store, receiver: Receiver, batcher: Batcher, deliverer: Deliverer, clock: Clock
) -> None:
    job = await create(store, 3, webhook=hook(receiver.url, IMAGES))
    first, second, _ = await claim(store, job)
    await store.finish_images([failed(second)], 3_000)
    await store.finish_images([made(first)], 3_000)
    assert await batcher.run_once(clock.now) == 1
    assert await batcher.run_once(clock.now) == 0
    await deliverer.run_once()
    (message,) = receiver.messages
    assert message.type == IMAGES
    data = message.document["data"]
    assert data["job"] == {
        "id": job.id, "status": "processing", "total": 3, "completed": 1, "failed": 1,
        "cancelled": 0, "progress": 200 / 3,
    }  # fmt: skip
    shown = image_document(await store.image(job.id, 0))
    shown["outputs"][0]["url"] = BASE_URL + shown["outputs"][0]["url"]
    assert data["images"] == [image_document(await store.image(job.id, 1)), shown]


async def test_a_message_has_a_hundred_images_at_most(
    store: Store, receiver: Receiver, batcher: Batcher, deliverer: Deliverer, clock: Clock
) -> None:
    job = await create(store, 250, webhook=hook(receiver.url, IMAGES))
    await store.finish_images([made(image) for image in await claim(store, job, 250)], 3_000)
    assert await batcher.run_once(clock.now) == 3
    await deliverer.run_once()
    assert [len(images) for images in told(receiver)] == [100, 100, 50]
    assert [index for images in told(receiver) for index, _ in images] == list(range(250))


async def test_only_what_a_job_asks_for_is_told(
    store: Store, receiver: Receiver, batcher: Batcher, deliverer: Deliverer, clock: Clock
) -> None:
    for path, events in (("/end", ()), ("/images", (IMAGES,)), ("/both", tuple(WebhookEvent))):
        job = await create(store, 1, webhook=hook(receiver.url + path, *events))
        await store.finish_images([made(image) for image in await claim(store, job)], 3_000)
    silent = await create(store, 1)
    await store.finish_images([made(image) for image in await claim(store, silent)], 3_000)
    await batcher.run_once(clock.now)
    await deliverer.run_once()
    assert sorted((message.path, message.type) for message in receiver.messages) == [
        ("/both", "image.finished"), ("/both", "job.finished"), ("/end", "job.finished"),
        ("/images", "image.finished"),
    ]  # fmt: skip


async def test_every_way_to_an_end_is_told(
    store: Store, receiver: Receiver, batcher: Batcher, deliverer: Deliverer, clock: Clock
) -> None:
    """Refused on the way in, appended and refused, finished, cancelled."""
    webhook = hook(receiver.url, IMAGES)
    job = await store.create_job(
        new_job(open=True, webhook=webhook), [new_image(failure=EMPTY), new_image()], 1_000
    )
    await store.append_images(job.id, [new_image(failure=EMPTY), new_image()], 1_000)
    (image,) = await claim(store, job, 1)
    await store.finish_images([made(image)], 3_000)
    await store.cancel_job(job.id, 4_000)
    await batcher.run_once(clock.now)
    await deliverer.run_once()
    assert told(receiver) == [[(0, "failed"), (2, "failed"), (1, "completed"), (3, "cancelled")]]


async def test_an_image_that_ends_again_is_told_again(
    store: Store, receiver: Receiver, batcher: Batcher, deliverer: Deliverer, clock: Clock
) -> None:
    job = await create(store, 1, webhook=hook(receiver.url, IMAGES))
    (image,) = await claim(store, job)
    await store.finish_images([failed(image)], 3_000)
    await batcher.run_once(clock.now)
    await store.retry_images(job.id)
    (image,) = await claim(store, job)
    await store.finish_images([made(image)], 4_000)
    await batcher.run_once(clock.now)
    await deliverer.run_once()
    assert told(receiver) == [[(0, "failed")], [(0, "completed")]]


async def test_an_image_that_was_taken_up_again_before_it_was_told_is_told_when_it_ends(
    store: Store, receiver: Receiver, batcher: Batcher, deliverer: Deliverer, clock: Clock
) -> None:
    job = await create(store, 1, webhook=hook(receiver.url, IMAGES))
    (image,) = await claim(store, job)
    await store.finish_images([failed(image)], 3_000)
    await store.retry_images(job.id)
    assert await batcher.run_once(clock.now) == 0
    (image,) = await claim(store, job)
    await store.finish_images([failed(image)], 4_000)
    await store.retry_images(job.id)
    (image,) = await claim(store, job)
    await store.finish_images([made(image)], 5_000)
    await batcher.run_once(clock.now)
    await deliverer.run_once()
    assert told(receiver) == [[(0, "completed")]]


async def test_what_ends_while_a_message_is_made_is_in_the_next_one(
    store: Store, clock: Clock, receiver: Receiver, deliverer: Deliverer
) -> None:
    job = await create(store, 2, webhook=hook(receiver.url, IMAGES))
    first, second = await claim(store, job)
    await store.finish_images([made(first)], 3_000)
    batcher = Batcher(store, image_document, lambda: None)
    read = store.unannounced_images

    async def read_and_finish(job_id: str, limit: int) -> Any:
        ended = await read(job_id, limit)
        await store.finish_images([made(second)], 3_000)
        return ended

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "unannounced_images", read_and_finish)
        await batcher.run_once(clock.now)
    await batcher.run_once(clock.now)
    await deliverer.run_once()
    assert told(receiver) == [[(0, "completed")], [(1, "completed")]]


async def test_a_job_that_is_not_visible_yet_is_not_told_of(
    store: Store, receiver: Receiver, batcher: Batcher, clock: Clock
) -> None:
    webhook = hook(receiver.url, IMAGES)
    job = await create(store, 1, open=True, hidden=True, webhook=webhook)
    await store.finish_images([made(image) for image in await claim(store, job)], 3_000)
    assert await batcher.run_once(clock.now) == 0
    await store.close_job(job.id, 4_000)
    assert await batcher.run_once(clock.now) == 1


async def test_a_job_that_is_gone_is_no_obstacle(
    store: Store, receiver: Receiver, batcher: Batcher, clock: Clock
) -> None:
    job = await create(store, 1, webhook=hook(receiver.url, IMAGES))
    other = await create(store, 1, webhook=hook(receiver.url, IMAGES))
    for image in [*await claim(store, job), *await claim(store, other)]:
        await store.finish_images([made(image)], 3_000)
    listed = await store.jobs_to_announce_images_of()

    async def list_before() -> list[str]:
        await store.delete_job(job.id)
        return listed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "jobs_to_announce_images_of", list_before)
        assert await batcher.run_once(clock.now) == 1


async def test_a_batcher_that_runs_makes_messages_of_what_a_dead_one_left(
    store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GATHER_S", 0)
    job = await create(store, 1, webhook=hook(receiver.url, IMAGES))
    await store.finish_images([made(image) for image in await claim(store, job)], 3_000)
    made_one = asyncio.Event()
    running = asyncio.create_task(Batcher(store, image_document, made_one.set).run())
    await made_one.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(await store.due_deliveries(2**53, running=())) == 1
