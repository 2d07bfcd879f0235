"""Submit: from images that arrive to a job that will be finished.

A submission's bytes are made durable while they come in. When the recipe is known before
the first image, the images are handed to the workers at once, as part of a job that is
hidden from everybody; it becomes visible with the end of the request, or vanishes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.config import LimitSettings
from imgsvc.dispatch.dispatcher import Dispatcher
from imgsvc.domain.ids import new_id
from imgsvc.domain.image import NewImage
from imgsvc.domain.job import Job, NewJob
from imgsvc.domain.product_list import ProductList, ProductRow
from imgsvc.domain.states import Priority
from imgsvc.domain.times import now_ms
from imgsvc.domain.watched import TakenFile
from imgsvc.domain.webhook import Webhook
from imgsvc.errors import Fault, InvalidRequest, TooManyImages
from imgsvc.intake.fingerprint import Fingerprint
from imgsvc.intake.headers import weigh
from imgsvc.intake.spec import JobSpec, WebhookSpec
from imgsvc.recipes.model import canonical_json
from imgsvc.service.commits import may_stand
from imgsvc.service.delete import Deleter
from imgsvc.service.idempotency import new_key
from imgsvc.service.presets import Presets
from imgsvc.service.readiness import Readiness
from imgsvc.service.watermarks import Watermarks
from imgsvc.store.keys import NewKey
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)


class Submitter:
    """retain_s: how long finished jobs are kept that do not say it themselves."""

    def __init__(
        self,
        store: Store,
        blobs: BlobStore,
        dispatcher: Dispatcher,
        presets: Presets,
        watermarks: Watermarks,
        readiness: Readiness,
        deleter: Deleter,
        *,
        limits: LimitSettings,
        retain_s: int,
    ) -> None:
        self.store = store
        self.blobs = blobs
        self.dispatcher = dispatcher
        self.presets = presets
        self.watermarks = watermarks
        self.readiness = readiness
        self.deleter = deleter
        self.limits = limits
        self.retain_s = retain_s

    async def begin(self, source: str, base_url: str = "") -> Submission:
        """A new submission, used as a context manager: what is not committed vanishes.

        source: where it comes from, as in Job. base_url: what links in messages about the
        job begin with. Raises ShuttingDown, QueueFull, StorageFull.
        """
        await self.readiness.check_accepts()
        return Submission(self, source, base_url)


class Submission:
    def __init__(self, submitter: Submitter, source: str, base_url: str) -> None:
        self._submitter = submitter
        self._source = source
        self._base_url = base_url
        self._arrived: list[NewImage] = []
        self._rows: list[ProductRow] = []
        self._job: NewJob | None = None
        self._is_stored = False
        self._committing: asyncio.Task[Job] | None = None
        self._places = 0
        self._flushing: asyncio.Task[None] | None = None
        self._stays_open = False
        self.limits = submitter.limits
        self.job_id = new_id()
        self.stage = submitter.blobs.stage(self.job_id)
        self.fingerprint = Fingerprint()
        self.count = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._submitter.readiness.give_places(self._places)
        if await may_stand(self._committing, self._submitter.store):
            return
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)
        try:
            if self._is_stored:
                await self._submitter.deleter.drop(self.job_id)
        finally:
            await self.stage.discard()

    async def describe(self, spec: JobSpec) -> None:
        """Say what is wanted; images are worked on from now on, as they arrive.

        Raises InvalidRequest, InvalidRecipe.
        """
        self.fingerprint.add_spec(spec)
        preset, recipe = await self._submitter.presets.resolve(spec.preset, spec.recipe)
        recipe = await self._submitter.watermarks.pin(recipe, preset)
        self._stays_open = spec.open
        retain_s = self._submitter.retain_s if spec.retain_s is None else spec.retain_s
        self._job = NewJob(
            id=self.job_id,
            recipe=canonical_json(recipe),
            preset=preset,
            label=spec.label,
            priority=Priority(spec.priority),
            source=self._source,
            open=True,
            hidden=True,
            retain_s=retain_s,
            reuse=spec.reuse,
            analyze=spec.analyze,
            webhook=_webhook(spec.webhook, self._base_url),
        )

    def begin_list(self, table: ProductList) -> None:
        """Say that the images come in a product list; after `describe`, before the first."""
        if self._job is None:
            raise RuntimeError("describe() comes first")
        self._job = replace(self._job, product_list=table)

    async def add_product(self, cells: Sequence[str], images: Sequence[NewImage]) -> None:
        """One more row of the list, with all its images. Raises as `add` does."""
        self._rows.append(ProductRow(self.count, len(images), tuple(cells)))
        for image in images:
            await self.add(image)

    async def add(self, image: NewImage) -> None:
        """One more image, its bytes staged. Raises TooManyImages, QueueFull."""
        self.check_room()
        self._submitter.readiness.take_place()
        self._places += 1
        self.fingerprint.add_image(image)
        self._arrived.append(image)
        self.count += 1
        if self._flushing is not None and self._flushing.done():
            self._flushing.result()
            self._flushing = None
        if self._job is not None and self._flushing is None:
            self._flushing = asyncio.create_task(self._flush(), name="submission-flush")

    def check_room(self) -> None:
        """Raises TooManyImages when the job can take no further image."""
        most = self.limits.max_images_per_job
        if self.count >= most:
            raise TooManyImages(f"A job takes at most {most} images.")

    @property
    def recipe(self) -> str:
        """What is to be made, as canonical JSON; after `describe`."""
        return self._described().recipe

    async def commit(
        self, idempotency_key: str | None = None, taken: Sequence[TakenFile] = ()
    ) -> Job:
        """Make it durable and visible, and with it its key, if any, and what was taken of a
        watched folder.

        Raises InvalidRequest for a job without an image that is not to stay open.
        """
        self._described()
        if self.count == 0 and not self._stays_open:
            raise InvalidRequest(
                "The job has no image.", (Fault("/images", "at least one image is needed"),)
            )
        self._submitter.readiness.check_not_draining()
        if self._flushing is not None:
            await self._flushing
        await self._flush()
        key = new_key(idempotency_key, self.fingerprint)
        self._committing = asyncio.create_task(self._show(key, taken), name="submission-commit")
        job = await asyncio.shield(self._committing)
        facts = {"images": job.total, "bytes": job.input_bytes, "open": job.open}
        log.info("job_submitted", job_id=job.id, **facts)
        return job

    def _described(self) -> NewJob:
        if self._job is None:
            raise RuntimeError("describe() comes first")
        return self._job

    async def _show(self, key: NewKey | None, taken: Sequence[TakenFile]) -> Job:
        store = self._submitter.store
        if not self._stays_open:
            return await store.close_job(self.job_id, now_ms(), key, taken)
        if not self._is_stored and self._job is not None:
            await self.stage.sync()  # makes the job's folder
            self._is_stored = True
            await store.create_job(self._job, [], now_ms())
        return await store.show_job(self.job_id, key)

    async def _flush(self) -> None:
        """Files to stable storage, then rows, then to the dispatcher."""
        if self._job is None:
            return
        store = self._submitter.store
        while self._arrived:
            arrived, self._arrived = self._arrived, []
            rows, self._rows = self._rows, []
            images = await weigh(arrived, self._job.recipe)
            await self.stage.sync()
            if self._is_stored:
                await store.append_images(self.job_id, images, now_ms(), rows=rows)
            else:
                self._is_stored = True
                await store.create_job(self._job, images, now_ms(), rows=rows)
            self._submitter.readiness.give_places(len(images))
            self._places -= len(images)
            self._submitter.dispatcher.job_has_work(self._job)


def _webhook(spec: WebhookSpec | None, base_url: str) -> Webhook | None:
    if spec is None:
        return None
    return Webhook(spec.url, frozenset(spec.events), spec.secret, base_url)
