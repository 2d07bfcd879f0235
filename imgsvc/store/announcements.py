"""What is to be told to the receivers of webhooks, written in the commit that it tells of.

A kill between the commit and the message loses nothing: what is to be sent stands in the
database from the moment on in which it is true.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from imgsvc.domain.ids import new_id
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.states import JobState
from imgsvc.domain.webhook import Webhook, WebhookEvent
from imgsvc.store.rows import dump_json, job_parameters
from imgsvc.store.sql import WEBHOOKS
from imgsvc.store.writer import Transaction

_CHANGING = (
    "state", "open", "total", "completed", "failed", "cancelled", "input_bytes", "output_bytes",
    "errors", "started_at", "finished_at", "expires_at",
)  # fmt: skip
"""What a retry by hand changes of a job; a message says how it was at its end."""


async def keep_webhook(tx: Transaction, job_id: str, webhook: Webhook) -> None:
    """In the place of a former one, if any; the job itself knows the events."""
    await tx.fetch(
        WEBHOOKS["keep_webhook"],
        {
            "job_id": job_id,
            "url": webhook.url,
            "receiver": webhook.receiver,
            "secret": webhook.secret,
            "base_url": webhook.base_url,
        },
    )


async def announce(tx: Transaction, job: Job, images: Sequence[Image]) -> None:
    """Note what a change means to the job's receiver.

    job: after the change. images: those that were changed. A job that is final after a change
    has become so by it, and so has an image.
    """
    if WebhookEvent.IMAGE_FINISHED in job.announces:
        ended = [
            {"job_id": job.id, "seq": job.seq, "idx": image.index}
            for image in images
            if image.state.is_final
        ]
        await tx.run_many(WEBHOOKS["insert_unannounced_image"], ended)
    if job.state.is_final:
        await announce_end(tx, job, job.finished_at or 0)


async def announce_end(tx: Transaction, job: Job, now_ms: int) -> None:
    """A message of the end of a job that is final, where one is wanted."""
    if WebhookEvent.JOB_FINISHED in job.announces:
        await insert_delivery(tx, job.id, WebhookEvent.JOB_FINISHED, _dump_end(job), now_ms)


async def insert_delivery(
    tx: Transaction, job_id: str, event: WebhookEvent, payload: str, now_ms: int
) -> None:
    """A message to the job's receiver. payload: JSON of what it is made of."""
    parameters = {"id": new_id(), "job_id": job_id, "event": event.value}
    await tx.fetch(
        WEBHOOKS["insert_delivery"], {**parameters, "payload": payload, "now_ms": now_ms}
    )


def _dump_end(job: Job) -> str:
    values = job_parameters(job)
    return dump_json({name: values[name] for name in _CHANGING})


def load_end(job: Job, payload: str) -> Job:
    """The job as it was when the message of its end was made, whatever it is by now."""
    values = json.loads(payload)
    changed = {
        **values, "state": JobState(values["state"]), "open": bool(values["open"]),
        "errors": json.loads(values["errors"]),
    }  # fmt: skip
    return replace(job, **changed)
