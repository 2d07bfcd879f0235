"""Messages to the receivers of webhooks, and what becomes of them."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from imgsvc.domain.webhook import (
    Attempt,
    Delivery,
    DeliveryError,
    DeliveryState,
    Webhook,
    WebhookEvent,
)
from imgsvc.errors import NotFound
from imgsvc.store.announcements import announce_end, insert_delivery, keep_webhook
from imgsvc.store.changes import load_job
from imgsvc.store.sql import JOBS, WEBHOOKS
from imgsvc.store.writer import Transaction


async def announce_images(
    tx: Transaction, job_id: str, last: tuple[int, int], payload: str | None, now_ms: int
) -> None:
    """Put images that have become final, up to `last` (seq, index), into a message.

    payload: JSON; None when there is nothing to be said of them after all.
    """
    if payload is not None:
        await insert_delivery(tx, job_id, WebhookEvent.IMAGE_FINISHED, payload, now_ms)
    seq, index = last
    await tx.fetch(
        WEBHOOKS["forget_unannounced_images"], {"job_id": job_id, "seq": seq, "idx": index}
    )


async def record_attempt(
    tx: Transaction, delivery: Delivery, attempt: Attempt, now_ms: int
) -> bool:
    """A try has ended, begun when its message was as `delivery`; False when that is gone, was
    tried again meanwhile, or is for another receiver now.

    A receiver that wants no more messages is not sent the job's other ones either.
    """
    is_delivered = attempt.state is DeliveryState.DELIVERED
    facts = {
        "id": delivery.id,
        "attempts": delivery.attempts,
        "receiver": delivery.receiver,
        "status": attempt.status,
        "error": attempt.error and attempt.error.value,
        "delivered_at": now_ms if is_delivered else None,
    }
    outcome = {**facts, "state": attempt.state.value, "next_at": attempt.next_at}
    rows = await tx.fetch(WEBHOOKS["record_attempt"], outcome)
    if rows and attempt.state is DeliveryState.DISABLED:
        parameters = {"job_id": rows[0]["job_id"], "now_ms": now_ms}
        await tx.fetch(WEBHOOKS["disable_webhook"], parameters)
        await tx.fetch(WEBHOOKS["disable_deliveries"], parameters)
    return bool(rows or await tx.fetch(WEBHOOKS["record_late_attempt"], facts))


async def redeliver(tx: Transaction, job_id: str, delivery_id: str, now_ms: int) -> Delivery:
    """Send a message again, with all its tries before it; a receiver that wanted no more is
    asked again. Raises NotFound.
    """
    parameters = {"id": delivery_id, "job_id": job_id, "now_ms": now_ms}
    rows = await tx.fetch(WEBHOOKS["redeliver"], parameters)
    if not rows:
        raise NotFound("There is no such delivery.")
    await tx.fetch(WEBHOOKS["enable_webhook"], parameters)
    return delivery_from_row(rows[0])


async def replace_webhook(tx: Transaction, job_id: str, webhook: Webhook, now_ms: int) -> None:
    """Tell another receiver of the job from now on; of its end at once, when that has been.

    What is still to be sent to a former one is not sent. Raises NotFound.
    """
    job = replace(await load_job(tx, job_id), announces=webhook.events)
    await tx.fetch(WEBHOOKS["disable_deliveries"], {"job_id": job_id})
    await tx.fetch(
        WEBHOOKS["forget_unannounced_images"],
        {"job_id": job_id, "seq": job.seq, "idx": job.total},
    )
    await tx.fetch(
        JOBS["save_announces"], {"id": job_id, "announces": " ".join(sorted(webhook.events))}
    )
    await keep_webhook(tx, job_id, webhook)
    if job.state.is_final:
        await announce_end(tx, job, now_ms)


def delivery_from_row(row: sqlite3.Row) -> Delivery:
    return Delivery(
        id=row["id"],
        job_id=row["job_id"],
        event=WebhookEvent(row["event"]),
        receiver=row["receiver"],
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        next_at=row["next_at"],
        last_status=row["last_status"],
        last_error=None if row["last_error"] is None else DeliveryError(row["last_error"]),
        created_at=row["created_at"],
        delivered_at=row["delivered_at"],
    )


def webhook_from_row(row: sqlite3.Row) -> Webhook:
    return Webhook(
        url=row["url"],
        events=frozenset(map(WebhookEvent, row["announces"].split())),
        secret=row["secret"],
        base_url=row["base_url"],
    )
