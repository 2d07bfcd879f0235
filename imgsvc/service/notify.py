"""Notify: somebody else is to be told of a job that is there already."""

from __future__ import annotations

from collections.abc import Callable

from imgsvc.domain.times import now_ms
from imgsvc.domain.webhook import Webhook
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)


class Notifier:
    """wake: called when there is something to send."""

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake

    async def notify(self, job_id: str, webhook: Webhook) -> None:
        """Tell this receiver in the place of a former one; of the end of a job that is final
        at once. Raises NotFound.
        """
        await self._store.job(job_id)
        await self._store.replace_webhook(job_id, webhook, now_ms())
        log.info("webhook_replaced", job_id=job_id)
        self._wake()
