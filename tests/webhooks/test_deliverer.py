"""From a job that has ended to a message that has arrived, or has not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook as Verifier

from imgsvc.api.documents import job_document
from imgsvc.domain.job import Job
from imgsvc.domain.times import now_ms
from imgsvc.domain.webhook import Delivery, DeliveryError, DeliveryState
from imgsvc.errors import StorageFull
from imgsvc.progress.pace import Paces
from imgsvc.store import full_disk
from imgsvc.store.store import Store
from imgsvc.webhooks.deliverer import Deliverer
from imgsvc.webhooks.sender import open_sender
from tests.receivers import OTHER_SECRET, SECRET, Receiver, open_receiver
from tests.webhooks.conftest import BASE_URL, Clock, MakeDeliverer, finish, hook


async def only_delivery(store: Store, job: Job) -> Delivery:
    (delivery,), _ = await store.deliveries(job.id, limit=9)
    return delivery


async def test_the_end_of_a_job_is_told_as_the_api_shows_it_with_whole_links(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    job = await finish(store, hook(f"{receiver.url}/hook"), label="caf\u00e9")
    await deliverer.run_once()
    (message,) = receiver.messages
    shown = job_document(job, Paces())
    shown["links"] = {name: BASE_URL + path for name, path in shown["links"].items()}
    assert message.document == {
        "type": "job.finished", "timestamp": "1970-01-01T00:00:03.000Z", "data": {"job": shown},
    }  # fmt: skip
    delivery = await only_delivery(store, job)
    assert (message.path, message.id) == ("/hook", delivery.id)
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)
    assert (delivery.last_status, delivery.last_error) == (204, None)


async def test_messages_are_signed_with_the_jobs_own_secret_or_the_servers(
    store: Store, receiver: Receiver, make_deliverer: MakeDeliverer
) -> None:
    deliverer = make_deliverer(clock=now_ms)
    await finish(store, hook(f"{receiver.url}/server"))
    await finish(store, hook(f"{receiver.url}/own", secret=OTHER_SECRET))
    await deliverer.run_once()
    secrets = {"/server": SECRET, "/own": OTHER_SECRET}
    assert {message.path for message in receiver.messages} == set(secrets)
    for message in receiver.messages:
        Verifier(secrets[message.path]).verify(message.body, message.headers)


async def test_every_try_sends_the_same_bytes_under_the_same_id_signed_anew(
    store: Store, receiver: Receiver, deliverer: Deliverer, clock: Clock
) -> None:
    """Whatever became of the job meanwhile."""
    receiver.will(500, 500)
    job = await finish(store, hook(receiver.url), fails=True)
    for pause_s in (0, 6, 360):
        clock.pass_s(pause_s)
        await deliverer.run_once()
        await store.retry_images(job.id)
    assert (await store.job(job.id)).state == "processing"
    assert receiver.messages[0].document["data"]["job"]["status"] == "failed"
    assert len({(message.id, message.body) for message in receiver.messages}) == 1
    assert len({message.headers["webhook-timestamp"] for message in receiver.messages}) == 3
    assert len({message.headers["webhook-signature"] for message in receiver.messages}) == 3
    assert (await only_delivery(store, job)).state is DeliveryState.DELIVERED


async def test_a_failed_try_waits_for_its_time(
    store: Store, receiver: Receiver, deliverer: Deliverer, clock: Clock
) -> None:
    receiver.will(500)
    job = await finish(store, hook(receiver.url))
    await deliverer.run_once()
    delivery = await only_delivery(store, job)
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, 1)
    assert (delivery.last_status, delivery.last_error) == (500, DeliveryError.HTTP_STATUS)
    assert delivery.next_at is not None
    assert 5_000 <= delivery.next_at - clock.now <= 6_000
    clock.pass_s(4.9)
    await deliverer.run_once()
    assert len(receiver.messages) == 1
    clock.pass_s(1.1)
    await deliverer.run_once()
    assert len(receiver.messages) == 2


async def test_a_receiver_that_asks_for_patience_gets_it(
    store: Store, receiver: Receiver, deliverer: Deliverer, clock: Clock
) -> None:
    receiver.will(429, Retry_After="3600")
    job = await finish(store, hook(receiver.url))
    await deliverer.run_once()
    next_at = (await only_delivery(store, job)).next_at
    assert next_at is not None
    assert 3_600_000 <= next_at - clock.now <= 4_320_000


async def test_of_a_job_that_is_being_removed_nothing_more_is_told(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    """It is hidden for as long as a full disk keeps its rows."""
    job = await finish(store, hook(receiver.url))
    await store.hide_job(job.id)
    async with asyncio.timeout(5):
        await deliverer.run_once()
    assert receiver.messages == []


async def test_after_the_last_try_a_message_is_given_up(
    store: Store, receiver: Receiver, make_deliverer: MakeDeliverer, clock: Clock
) -> None:
    deliverer = make_deliverer(max_tries=2)
    receiver.will(500, 302)
    job = await finish(store, hook(receiver.url))
    for _ in range(3):
        await deliverer.run_once()
        clock.pass_s(86_400)
    delivery = await only_delivery(store, job)
    assert (delivery.state, delivery.attempts) == (DeliveryState.FAILED, 2)
    assert delivery.last_error is DeliveryError.REDIRECTED
    assert len(receiver.messages) == 2


async def test_a_receiver_that_is_gone_is_sent_nothing_more_of_that_job(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    receiver.will(410)
    job = await finish(store, hook(receiver.url))
    await deliverer.run_once()
    assert (await only_delivery(store, job)).state is DeliveryState.DISABLED
    other = await finish(store, hook(receiver.url))
    await deliverer.run_once()
    assert [m.document["data"]["job"]["id"] for m in receiver.messages] == [job.id, other.id]


async def test_a_message_is_sent_again_by_hand_also_to_one_that_was_gone(
    store: Store, receiver: Receiver, deliverer: Deliverer, clock: Clock
) -> None:
    receiver.will(410)
    job = await finish(store, hook(receiver.url))
    await deliverer.run_once()
    delivery = await only_delivery(store, job)
    for _ in range(2):  # the second time it has arrived already
        again = await store.redeliver(job.id, delivery.id, clock.now)
        assert (again.state, again.attempts) == (DeliveryState.PENDING, 0)
        await deliverer.run_once()
        assert (await only_delivery(store, job)).state is DeliveryState.DELIVERED
    assert [message.id for message in receiver.messages] == [delivery.id] * 3


async def test_the_last_try_of_a_message_is_not_its_last_when_it_is_taken_up_meanwhile(
    store: Store, receiver: Receiver, make_deliverer: MakeDeliverer, clock: Clock
) -> None:
    receiver.will(500)
    job = await finish(store, hook(receiver.url))
    deliverer = make_deliverer(max_tries=2)
    await deliverer.run_once()
    clock.pass_s(60)

    async def take_up(_request: web.Request) -> web.StreamResponse:
        await store.redeliver(job.id, receiver.messages[0].id, clock.now)
        return web.Response(status=500)

    receiver.answers.append(take_up)
    await deliverer.run_once()
    assert len(receiver.messages) == 3
    assert (await only_delivery(store, job)).state is DeliveryState.DELIVERED


async def test_an_address_inside_is_final_at_once(
    store: Store, receiver: Receiver, clock: Clock
) -> None:
    job = await finish(store, hook(receiver.url))
    async with open_sender(allow_private=False, timeout_s=5, connections=1) as guarded:
        deliverer = Deliverer(
            store, guarded, lambda job: job_document(job, Paces()),
            secrets=(), max_tries=10, clock=clock,
        )  # fmt: skip
        await deliverer.run_once()
    delivery = await only_delivery(store, job)
    assert (delivery.state, delivery.last_error) == (DeliveryState.FAILED, DeliveryError.BLOCKED)
    assert receiver.messages == []


async def test_a_job_that_is_deleted_is_told_of_no_more(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    job = await finish(store, hook(receiver.url))
    await store.delete_job(job.id)
    await deliverer.run_once()
    assert receiver.messages == []


async def test_a_job_that_is_deleted_while_it_is_told_of_leaves_nothing(
    store: Store, receiver: Receiver, deliverer: Deliverer
) -> None:
    job = await finish(store, hook(receiver.url))

    async def delete(_request: web.Request) -> web.StreamResponse:
        await store.delete_job(job.id)
        return web.Response(status=500)

    receiver.answers.append(delete)
    await deliverer.run_once()
    assert await store.due_deliveries(2**53, running=()) == []


async def test_what_was_under_way_when_the_server_stopped_is_sent_again(
    store: Store, receiver: Receiver, make_deliverer: MakeDeliverer
) -> None:
    arrived = asyncio.Event()

    async def keep_waiting(_request: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    receiver.answers.append(keep_waiting)
    job = await finish(store, hook(receiver.url))
    running = asyncio.create_task(make_deliverer().run())
    await arrived.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await only_delivery(store, job)).state is DeliveryState.PENDING
    await make_deliverer().run_once()
    first, second = receiver.messages
    assert (first.id, first.body) == (second.id, second.body)


async def test_a_message_that_comes_while_it_runs_is_sent_and_so_is_one_whose_time_comes(
    store: Store, receiver: Receiver, make_deliverer: MakeDeliverer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgsvc.webhooks.schedule.DELAYS_S", (0.01,))
    receiver.will(500)
    deliverer = make_deliverer(clock=now_ms)
    running = asyncio.create_task(deliverer.run())
    await finish(store, hook(receiver.url))
    deliverer.wake()
    first, second = (await receiver.wait_for(2))[:2]
    assert first.id == second.id
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_silent_receiver_holds_up_no_other_one(
    store: Store, receiver: Receiver, make_deliverer: MakeDeliverer
) -> None:
    async def be_silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with open_receiver() as silent:
        silent.answers += [be_silent] * 100
        for _ in range(20):
            await finish(store, hook(silent.url))
        for _ in range(5):
            await finish(store, hook(receiver.url))
        running = asyncio.create_task(make_deliverer().run())
        await receiver.wait_for(5)
        await silent.wait_for(2)
        assert len(silent.messages) == 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_full_disk_makes_no_message_come_twice(
    store: Store,
    receiver: Receiver,
    deliverer: Deliverer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(full_disk, "STORAGE_DELAY_S", 0)
    record, refusals = store.record_attempt, [StorageFull("full")] * 3

    async def refuse_at_first(*arguments: Any) -> bool:
        if refusals:
            raise refusals.pop()
        return await record(*arguments)

    monkeypatch.setattr(store, "record_attempt", refuse_at_first)
    job = await finish(store, hook(receiver.url))
    await deliverer.run_once()
    assert (await only_delivery(store, job)).state is DeliveryState.DELIVERED
    assert len(receiver.messages) == 1
