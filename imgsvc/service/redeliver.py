"""Redeliver: a message to a webhook's receiver is sent again by hand."""

from __future__ import annotations

from collections.abc import Callable

from imgsvc.domain.times import now_ms
from imgsvc.domain.webhook import Delivery
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)


class Redeliverer:
    """wake: called when there is something to send."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake

    async def redeliver(self, job_id: str, delivery_id: str) -> Delivery:
        """Send it at once, and as often as a new one, whatever became of it; under its old id,
        so that a receiver that has it knows it again. Raises NotFound.
        """
        delivery = await self._store.redeliver(job_id, delivery_id, now_ms())
        log.info("webhook_redelivered", job_id=job_id, delivery_id=delivery_id)
        self._wake()
        return delivery
