"""What is to be told stands in the database from the commit on that makes it true."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from imgsvc.domain.ids import new_id
from imgsvc.domain.job import Job
from imgsvc.domain.webhook import (
    Attempt,
    Delivery,
    DeliveryError,
    DeliveryState,
    Webhook,
    WebhookEvent,
)
from imgsvc.errors import NotFound
from imgsvc.store.store import Store
from tests.store.builders import EMPTY, claim, create, failed, made, new_image, new_job

HOOK = Webhook(
    "https://Receiver.example:8443/hook?key=1",
    frozenset(WebhookEvent),
    None,
    "https://images.example",
)
FOR_EVER = 2**53


async def finish(store: Store, webhook: Webhook = HOOK, now_ms: int = 3_000) -> Job:
    job = await create(store, 1, webhook=webhook)
    await store.finish_images([made(image) for image in await claim(store, job)], now_ms)
    return await store.job(job.id)


async def deliveries(store: Store, job: Job) -> list[Delivery]:
    found, _ = await store.deliveries(job.id, limit=99)
    return found


async def test_a_job_and_the_message_of_its_end_are_one_commit(store: Store) -> None:
    job = await create(store, 1, webhook=HOOK)
    images = await claim(store, job)
    commits = store._writer.commits
    await store.finish_images([made(image) for image in images], 3_000)
    assert store._writer.commits == commits + 1
    assert (await store.job(job.id)).state == "completed"
    assert len(await deliveries(store, job)) == 1
    assert await store.jobs_to_announce_images_of() == [job.id]


@pytest.mark.parametrize("way", ["finished", "cancelled", "closed", "refused", "idle"])
async def test_every_way_to_a_jobs_end_makes_one_message(store: Store, way: str) -> None:
    new = [new_image(failure=EMPTY)] if way == "refused" else [new_image()]
    is_open = way in ("closed", "idle")
    job = await store.create_job(new_job(open=is_open, webhook=HOOK), new, 1_000)
    if way in ("finished", "closed", "idle"):
        await store.finish_images([made(image) for image in await claim(store, job)], 2_000)
    if way == "cancelled":
        await store.cancel_job(job.id, 2_000)
    if way == "closed":
        assert await deliveries(store, job) == []
        await store.close_job(job.id, 2_000)
        await store.close_job(job.id, 3_000)
    if way == "idle":
        assert await store.close_idle_job(job.id, 2_000, 3_000)
    (delivery,) = await deliveries(store, job)
    assert delivery.event is WebhookEvent.JOB_FINISHED
    assert (delivery.state, delivery.attempts) == (DeliveryState.PENDING, 0)
    assert delivery.receiver == "receiver.example:8443"
    assert delivery.created_at == delivery.next_at == (await store.job(job.id)).finished_at


async def test_a_job_that_ends_again_is_told_of_again(store: Store) -> None:
    job = await create(store, 1, webhook=HOOK)
    await store.finish_images([failed(image) for image in await claim(store, job)], 2_000)
    await store.retry_images(job.id)
    await store.finish_images([made(image) for image in await claim(store, job)], 3_000)
    newer, older = await deliveries(store, job)
    states = []
    for delivery in (older, newer):
        payload = await store.payload(delivery.id)
        assert payload is not None
        told = await store.ended_job(delivery, payload)
        states.append((told.state, told.failed, told.errors, told.finished_at))
    assert states == [("failed", 1, {"corrupt_image": 1}, 2_000), ("completed", 0, {}, 3_000)]


async def test_a_job_without_a_webhook_makes_no_messages(store: Store) -> None:
    job = await create(store, 1)
    await store.finish_images([made(image) for image in await claim(store, job)], 2_000)
    assert await deliveries(store, job) == []
    assert await store.webhook(job.id) is None
    assert await store.jobs_to_announce_images_of() == []


async def test_a_webhook_is_kept_as_it_was_given(store: Store, database: Path) -> None:
    own = Webhook("http://x/", frozenset({WebhookEvent.IMAGE_FINISHED}), "whsec_x", "http://h:1")
    job = await create(store, 1, webhook=own)
    assert await store.webhook(job.id) == own
    assert (await store.job(job.id)).announces == own.events


async def test_with_a_job_all_that_is_to_be_told_of_it_goes(store: Store, database: Path) -> None:
    job = await finish(store)
    await store.delete_job(job.id)
    with closing(sqlite3.connect(database)) as connection:
        for table in ("webhooks", "deliveries", "unannounced_images"):
            found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
            assert found == (0,)


async def test_a_submit_that_never_ended_is_told_of_to_nobody(store: Store) -> None:
    job = await create(store, 1, open=True, hidden=True, webhook=HOOK)
    await store.finish_images([made(image) for image in await claim(store, job)], 2_000)
    assert await store.jobs_to_announce_images_of() == []
    await store.recover(3_000)
    assert await store.due_deliveries(FOR_EVER, running=()) == []


async def test_what_is_due_is_found_one_for_each_receiver_the_oldest_first(store: Store) -> None:
    jobs = {
        name: await finish(store, Webhook(f"http://{host}/", HOOK.events, None, ""), at)
        for name, host, at in (
            ("late", "a", 5_000), ("early", "a", 4_000), ("other", "b", 6_000), ("no", "c", 9_000)
        )
    }  # fmt: skip
    due = await store.due_deliveries(6_000, running=())
    assert [delivery.job_id for delivery in due] == [jobs["early"].id, jobs["other"].id]
    due = await store.due_deliveries(6_000, running=[delivery.id for delivery in due])
    assert [delivery.job_id for delivery in due] == [jobs["late"].id]
    assert await store.next_delivery_ms(6_000) == 9_000
    assert await store.next_delivery_ms(9_000) is None


async def test_a_try_counts_only_while_its_message_waits(store: Store) -> None:
    job = await finish(store)
    (delivery,) = await deliveries(store, job)
    later = Attempt(DeliveryState.PENDING, None, DeliveryError.TIMEOUT, 9_000)
    assert await store.record_attempt(delivery, later, 4_000)
    done = Attempt(DeliveryState.DELIVERED, 200)
    assert not await store.record_attempt(delivery, done, 5_000)  # begun before the other ended
    (delivery,) = await deliveries(store, job)
    assert await store.record_attempt(delivery, done, 5_000)
    assert not await store.record_attempt(delivery, later, 6_000)
    assert not await store.record_attempt(replace(delivery, id=new_id()), later, 6_000)
    (delivery,) = await deliveries(store, job)
    assert (delivery.attempts, delivery.delivered_at, delivery.next_at) == (2, 5_000, None)
    assert (delivery.last_status, delivery.last_error) == (200, None)


async def test_a_receiver_that_is_gone_gets_nothing_until_it_is_tried_by_hand(
    store: Store,
) -> None:
    job = await create(store, 2, webhook=HOOK)
    first, second = await claim(store, job)
    await store.finish_images([failed(first)], 2_000)
    await store.announce_images(job.id, (FOR_EVER, 0), "{}", 2_000)
    await store.finish_images([failed(second)], 3_000)
    end, images = await deliveries(store, job)
    await store.record_attempt(end, Attempt(DeliveryState.DISABLED, 410, DeliveryError.GONE), 4_000)
    await store.retry_images(job.id)
    await store.cancel_job(job.id, 5_000)
    assert [d.state for d in await deliveries(store, job)] == [DeliveryState.DISABLED] * 3
    assert await store.due_deliveries(FOR_EVER, running=()) == []
    await store.redeliver(job.id, images.id, 6_000)
    await store.retry_images(job.id)
    await store.cancel_job(job.id, 7_000)
    assert [d.state for d in await deliveries(store, job)] == [
        DeliveryState.PENDING, DeliveryState.DISABLED, DeliveryState.DISABLED,
        DeliveryState.PENDING,
    ]  # fmt: skip


async def test_messages_of_a_job_come_page_by_page_newest_first(store: Store) -> None:
    job = await finish(store)
    for _ in range(4):
        await store.announce_images(job.id, (FOR_EVER, 0), "{}", 4_000)
    first, after = await store.deliveries(job.id, limit=3)
    rest, end = await store.deliveries(job.id, limit=3, after=after)
    ids = [delivery.id for delivery in first + rest]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), end) == (5, None)


async def test_a_message_is_found_under_its_own_job_alone(store: Store) -> None:
    job, other = await finish(store), await finish(store)
    (delivery,) = await deliveries(store, job)
    with pytest.raises(NotFound):
        await store.redeliver(other.id, delivery.id, 4_000)
    with pytest.raises(NotFound):
        await store.deliveries(new_id(), limit=1)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'delivered', next_at = NULL, delivered_at = 1",
        "state = 'delivered', next_at = NULL, attempts = 1",
        "state = 'failed', next_at = NULL",
        "state = 'failed', last_error = 'timeout'",
        "next_at = NULL",
        "state = 'lost'",
        "event = 'job.started'",
        "payload = '{'",
        "attempts = -1",
    ],
)
async def test_the_table_refuses_a_message_against_the_rules(
    store: Store, database: Path, change: str
) -> None:
    await finish(store)
    with (
        closing(sqlite3.connect(database, isolation_level=None)) as raw,
        pytest.raises(sqlite3.IntegrityError),
    ):
        raw.execute(f"UPDATE deliveries SET {change}")  # noqa: S608 - it is written above


OTHER = Webhook(
    "https://other.example/x", frozenset({WebhookEvent.JOB_FINISHED}), None, "https://b"
)


@pytest.mark.parametrize("former", [None, HOOK])
async def test_another_receiver_is_told_of_an_end_that_comes_later(
    store: Store, former: Webhook | None
) -> None:
    job = await create(store, 1, webhook=former)
    await store.replace_webhook(job.id, OTHER, 1_500)
    assert await deliveries(store, job) == []
    await store.finish_images([made(image) for image in await claim(store, job)], 3_000)
    (delivery,) = await deliveries(store, job)
    assert delivery.receiver == "other.example"
    assert await store.webhook(job.id) == OTHER
    assert await store.jobs_to_announce_images_of() == []


async def test_another_receiver_is_told_at_once_of_an_end_that_has_been(store: Store) -> None:
    job = await finish(store)
    commits = store._writer.commits
    await store.replace_webhook(job.id, OTHER, 9_000)
    assert store._writer.commits == commits + 1
    newest, former = await deliveries(store, job)
    assert (newest.receiver, newest.state, newest.next_at) == ("other.example", "pending", 9_000)
    assert (former.receiver, former.state) == ("receiver.example:8443", "disabled")
    assert await store.jobs_to_announce_images_of() == []
    payload = await store.payload(newest.id)
    assert payload is not None
    assert await store.ended_job(newest, payload) == await store.job(job.id)


async def test_what_is_sent_again_goes_to_the_receiver_of_now_and_is_shown_so(
    store: Store,
) -> None:
    job = await finish(store)
    (former,) = await deliveries(store, job)
    await store.replace_webhook(job.id, OTHER, 9_000)
    assert (await store.redeliver(job.id, former.id, 9_500)).receiver == "other.example"


async def test_a_receiver_that_was_gone_does_not_keep_another_from_being_told(store: Store) -> None:
    job = await finish(store)
    (delivery,) = await deliveries(store, job)
    gone = Attempt(DeliveryState.DISABLED, 410, DeliveryError.GONE)
    assert await store.record_attempt(delivery, gone, 4_000)
    await store.replace_webhook(job.id, OTHER, 9_000)
    assert (await deliveries(store, job))[0].state == "pending"


@pytest.mark.parametrize(
    ("attempt", "state"),
    [
        (Attempt(DeliveryState.DELIVERED, 204), DeliveryState.DELIVERED),
        (Attempt(DeliveryState.PENDING, 503, DeliveryError.HTTP_STATUS, 9_900), "disabled"),
        (Attempt(DeliveryState.DISABLED, 410, DeliveryError.GONE), DeliveryState.DISABLED),
    ],
)
async def test_what_was_under_way_to_a_former_receiver_is_told_and_nothing_follows(
    store: Store, attempt: Attempt, state: DeliveryState
) -> None:
    job = await finish(store)
    (former,) = await deliveries(store, job)
    await store.replace_webhook(job.id, OTHER, 9_000)
    assert await store.record_attempt(former, attempt, 9_500)
    now, before = await deliveries(store, job)
    assert (before.state, before.attempts) == (state, 1)
    assert (before.last_status, before.next_at) == (attempt.status, None)
    assert (now.state, now.attempts, now.receiver) == ("pending", 0, "other.example")


@pytest.mark.parametrize(
    "attempt",
    [
        Attempt(DeliveryState.DELIVERED, 204),
        Attempt(DeliveryState.DISABLED, 410, DeliveryError.GONE),
    ],
)
async def test_what_a_former_receiver_says_is_not_taken_for_the_answer_of_another(
    store: Store, attempt: Attempt
) -> None:
    """Which the message, taken up by hand, is for now; the other would never be told."""
    job = await finish(store)
    (former,) = await deliveries(store, job)
    await store.replace_webhook(job.id, OTHER, 9_000)
    await store.redeliver(job.id, former.id, 9_100)
    assert not await store.record_attempt(former, attempt, 9_500)
    assert {(d.state, d.receiver) for d in await deliveries(store, job)} == {
        ("pending", "other.example")
    }


async def test_what_was_taken_up_since_and_is_not_sent_any_more_has_no_answer_of_before(
    store: Store,
) -> None:
    job = await finish(store)
    (first,) = await deliveries(store, job)
    assert await store.record_attempt(
        first, Attempt(DeliveryState.PENDING, 503, DeliveryError.HTTP_STATUS, 9_900), 9_000
    )
    (second,) = await deliveries(store, job)
    await store.redeliver(job.id, first.id, 9_100)
    await store.replace_webhook(job.id, OTHER, 9_200)
    delivered = Attempt(DeliveryState.DELIVERED, 204)
    assert not await store.record_attempt(second, delivered, 9_300)
    await store.redeliver(job.id, first.id, 9_400)
    await store.replace_webhook(job.id, OTHER, 9_500)
    assert not await store.record_attempt(first, delivered, 9_600)
    assert (await deliveries(store, job))[-1].state == "disabled"


async def test_an_unknown_job_gets_no_receiver(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.replace_webhook(new_id(), OTHER, 1_000)
