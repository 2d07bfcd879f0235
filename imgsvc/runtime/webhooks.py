"""Webhooks, put together: what tells the receivers that jobs name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imgsvc.api.documents import image_document, job_document
from imgsvc.domain.job import Job, JobChange
from imgsvc.domain.webhook import Attempt
from imgsvc.runtime.core import Core
from imgsvc.webhooks.backlog import Backlog
from imgsvc.webhooks.batches import Batcher
from imgsvc.webhooks.deliverer import Deliverer
from imgsvc.webhooks.lanes import IN_ALL
from imgsvc.webhooks.payloads import Document
from imgsvc.webhooks.sender import open_sender


class Webhooks:
    """The part of a core that has nobody waiting for it. on_attempt: as in Deliverer."""

    def __init__(self, core: Core, on_attempt: Callable[[Attempt], None]) -> None:
        self._core = core
        self._on_attempt = on_attempt
        self.backlog = Backlog(core.store)
        self._deliverer: Deliverer | None = None
        self._batcher = Batcher(core.store, image_document, self.wake)

    def start(self) -> None:
        """Until the core stops."""
        self._core.store.subscribe(self._follow)
        self._core.keep("webhook-batches", self._batcher.run())
        self._core.keep("webhooks", self._deliver())
        self._core.keep("webhook-backlog", self.backlog.run())

    def wake(self) -> None:
        """There may be something to send."""
        if self._deliverer is not None:
            self._deliverer.wake()

    async def _deliver(self) -> None:
        settings = self._core.settings.webhooks
        async with open_sender(
            allow_private=settings.allow_private,
            timeout_s=settings.timeout_s,
            connections=IN_ALL,
        ) as sender:
            self._deliverer = Deliverer(
                self._core.store,
                sender,
                self._describe,
                secrets=settings.secrets,
                max_tries=settings.max_attempts,
                on_attempt=self._on_attempt,
            )
            await self._deliverer.run()

    def _describe(self, job: Job) -> Document:
        return job_document(job, self._core.paces)

    def _follow(self, changes: Sequence[JobChange]) -> None:
        jobs = [c.job for c in changes if c.job.announces and not c.job.hidden]
        if jobs:
            self._batcher.wake()
        if any(job.state.is_final for job in jobs):
            self.wake()
