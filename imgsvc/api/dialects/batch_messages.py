"""What dialect B tells of a batch while it is worked on.

Whoever connects, and whenever, is told of every image once: first of those that are final
already, then of the others as they end, and last of the end of the batch.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from aiohttp import web

from imgsvc.api.addresses import absolute_url
from imgsvc.api.context import Context
from imgsvc.api.dialects.states import image_error, image_status, job_status
from imgsvc.api.documents import output_url
from imgsvc.api.websockets import Batch, Message
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.states import JobState
from imgsvc.errors import NotFound
from imgsvc.progress.hub import Event

IMAGES_AT_ONCE = 100

Describe = Callable[[Image], dict[str, Any]]


def batch_numbers(job: Job) -> dict[str, Any]:
    """What every message and document says of a batch."""
    return {
        "job_id": job.id,
        "status": job_status(job),
        "total_images": job.total,
        "completed": job.completed,
        "failed": job.failed + job.cancelled,
        "progress": job.progress,
    }


def image_document(request: web.Request, image: Image) -> dict[str, Any]:
    output = image.outputs[0] if image.outputs else None
    path = output and output_url(image.job_id, image.index, output.variant)
    return {
        "index": image.index,
        "original_filename": image.name,
        "status": image_status(image),
        "trace_id": image.id,
        "processed_path": absolute_url(request, path) if path else None,
        "error": image_error(image),
    }


async def tell_batch(
    context: Context, job_id: str, describe: Describe
) -> AsyncGenerator[Batch, None]:
    """All messages, to the last. Raises HubClosed when the server stops, and NotFound."""
    with context.hub.watch(job_id) as reader:
        teller = _Teller(await context.store.job(job_id), describe)
        yield [teller.progress()]
        try:
            async with aclosing(_tell_present(context, teller)) as batches:
                async for batch in batches:
                    yield batch
            while not teller.job.state.is_final:
                yield teller.follow(await reader.take())
            if teller.has_more:
                async with aclosing(_tell_present(context, teller)) as batches:
                    async for batch in batches:
                        yield batch
        except NotFound:
            teller.lose()
        yield [teller.end()]


async def _tell_present(context: Context, teller: _Teller) -> AsyncGenerator[Batch, None]:
    """Of images that are final now. Raises NotFound when the job is gone."""
    after: int | None = -1
    while after is not None:
        images, after = await context.store.images(teller.job.id, limit=IMAGES_AT_ONCE, after=after)
        teller.learn(await context.store.job(teller.job.id))  # read later, so it counts all of them
        yield teller.tell(images)


class _Teller:
    """job: the newest that is known of it. Memory is bounded by its images."""

    def __init__(self, job: Job, describe: Describe) -> None:
        self.job = job
        self._describe = describe
        self._told: dict[int, str] = {}
        self._last_progress: dict[str, Any] = {}

    @property
    def has_more(self) -> bool:
        """Whether some image is final, or will be, that was not told of."""
        return len(self._told) < self.job.total

    def learn(self, job: Job) -> None:
        if job.seq > self.job.seq:
            self.job = job

    def lose(self) -> None:
        """A job that is deleted half-way ends as a cancelled one does."""
        if not self.job.state.is_final:
            self.job = replace(self.job, state=JobState.CANCELLED)

    def follow(self, events: Sequence[Event]) -> Batch:
        batch: Batch = []
        for event in events:
            self.learn(event.job)
            if event.deleted:
                self.lose()
            if event.image is not None:
                batch += self._news_of(event.image)
        return batch + self._news_of_job()

    def tell(self, images: Sequence[Image]) -> Batch:
        batch = [message for image in images for message in self._news_of(image)]
        return batch + self._news_of_job()

    def progress(self) -> Message:
        self._last_progress = batch_numbers(self.job)
        return self._message("progress")

    def end(self) -> Message:
        return self._message("job_complete")

    def _news_of_job(self) -> Batch:
        if self.job.state.is_final or batch_numbers(self.job) == self._last_progress:
            return []
        return [self.progress()]

    def _news_of(self, image: Image) -> Batch:
        """One that waits again, as by a retry, is told of again when it ends."""
        if not image.state.is_final:
            self._told.pop(image.index, None)
            return []
        status = image_status(image)
        if self._told.get(image.index) == status:
            return []
        self._told[image.index] = status
        return [self._message(f"image_{status}", image=self._describe(image))]

    def _message(self, kind: str, **more: object) -> Message:
        document = {"type": kind, **batch_numbers(self.job), **more}
        return self.job.seq, json.dumps(document, ensure_ascii=False, separators=(",", ":"))
