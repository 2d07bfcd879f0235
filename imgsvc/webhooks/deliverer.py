"""The deliverer: sends what is due, and records what came of it.

Nothing waits for it. What is to be sent stands in the database, so whatever is under way when
the server stops, or is killed, is sent again at the next start, under the same id.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from imgsvc.domain.job import Job
from imgsvc.domain.times import now_ms
from imgsvc.domain.webhook import Attempt, Delivery, DeliveryState, Webhook, WebhookEvent
from imgsvc.errors import NotFound
from imgsvc.store.full_disk import FullDisk
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger
from imgsvc.webhooks.lanes import Lanes
from imgsvc.webhooks.payloads import Document, dump_message, job_data
from imgsvc.webhooks.schedule import decide_next
from imgsvc.webhooks.sender import Sender
from imgsvc.webhooks.signing import message_headers

log = get_logger(__name__)

LONGEST_WAIT_S = 60.0
"""A clock that is set anew is noticed after this long."""


class Deliverer:
    """describe: a job as the API's document. secrets: sign where a job has none of its own.

    max_tries: with which a message is given up. on_attempt: told what each try came to.
    clock: milliseconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        sender: Sender,
        describe: Callable[[Job], Document],
        *,
        secrets: Sequence[str],
        max_tries: int,
        on_attempt: Callable[[Attempt], None] = lambda _: None,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._store = store
        self._sender = sender
        self._describe = describe
        self._secrets = secrets
        self._max_tries = max_tries
        self._on_attempt = on_attempt
        self._now_ms = clock
        self._lanes = Lanes()
        self._disk = FullDisk("webhooks")
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                now = self._now_ms()
                await self._start_due(tasks, now)
                with suppress(TimeoutError):
                    async with asyncio.timeout(await self._wait_s(now)):
                        await self._wake.wait()

    async def run_once(self) -> None:
        """Send what is due now, and all that becomes due by it."""
        while await self._store.due_deliveries(self._now_ms(), running=()):
            async with asyncio.TaskGroup() as tasks:
                await self._start_due(tasks, self._now_ms())

    async def _wait_s(self, now: int) -> float:
        """Until the next one is due that was not due at `now`."""
        next_at = await self._store.next_delivery_ms(now)
        if next_at is None:
            return LONGEST_WAIT_S
        return min((next_at - self._now_ms()) / 1000, LONGEST_WAIT_S)

    async def _start_due(self, tasks: asyncio.TaskGroup, now: int) -> None:
        """Until all that are due are under way, or have to wait for those that are."""
        while not self._lanes.is_full:
            due = await self._store.due_deliveries(now, running=self._lanes.running)
            entered = self._lanes.enter(due)
            for delivery in entered:
                tasks.create_task(self._deliver(delivery), name=f"webhook {delivery.id}")
            if not entered:
                return

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            attempt = await self._try(delivery)
            if attempt is not None:
                await self._record(delivery, attempt)
        finally:
            self._lanes.leave(delivery)
            self._wake.set()

    async def _try(self, delivery: Delivery) -> Attempt | None:
        """None when the job, and the message with it, is gone."""
        webhook = await self._store.webhook(delivery.job_id)
        body = await self._compose(delivery, webhook) if webhook else None
        if webhook is None or body is None:
            return None
        now_s = self._now_ms() // 1000
        secrets = (webhook.secret,) if webhook.secret else self._secrets
        headers = message_headers(delivery.id, body, secrets, now_s)
        answer = await self._sender.send(webhook.url, headers, body, now_s)
        return decide_next(
            answer,
            delivery.attempts + 1,
            max_tries=self._max_tries,
            now_ms=self._now_ms(),
            chance=random.random(),  # noqa: S311 - spreads tries, guards nothing
        )

    async def _compose(self, delivery: Delivery, webhook: Webhook) -> str | None:
        payload = await self._store.payload(delivery.id)
        if payload is None:
            return None
        if delivery.event is WebhookEvent.IMAGE_FINISHED:
            data = await asyncio.to_thread(json.loads, payload)
        else:
            try:
                job = await self._store.ended_job(delivery, payload)
            except NotFound:
                return None
            data = job_data(self._describe(job), webhook.base_url)
        return await asyncio.to_thread(dump_message, delivery.event, delivery.created_at, data)

    async def _record(self, delivery: Delivery, attempt: Attempt) -> None:
        """Until it is stored: what is not would be sent again at once."""
        await self._disk.insist(
            lambda: self._store.record_attempt(delivery, attempt, self._now_ms())
        )
        self._on_attempt(attempt)
        if attempt.state is not DeliveryState.DELIVERED:
            log.info(
                "webhook_not_delivered",
                job_id=delivery.job_id,
                delivery_id=delivery.id,
                status=attempt.status,
                error=attempt.error,
                state=attempt.state,
            )
