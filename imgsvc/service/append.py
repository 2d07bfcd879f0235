"""Append: more images for a job that is open."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.config import LimitSettings
from imgsvc.dispatch.dispatcher import Dispatcher
from imgsvc.domain.image import NewImage
from imgsvc.domain.job import Job
from imgsvc.domain.times import now_ms
from imgsvc.errors import Fault, InvalidRequest, JobClosed, TooManyImages
from imgsvc.intake.fingerprint import Fingerprint
from imgsvc.intake.headers import weigh
from imgsvc.intake.spec import JobSpec
from imgsvc.service.commits import may_stand
from imgsvc.service.idempotency import new_key
from imgsvc.service.readiness import Readiness
from imgsvc.store.keys import NewKey
from imgsvc.store.store import Store


class Appender:
    def __init__(
        self,
        store: Store,
        blobs: BlobStore,
        dispatcher: Dispatcher,
        readiness: Readiness,
        limits: LimitSettings,
    ) -> None:
        self.store = store
        self.blobs = blobs
        self.dispatcher = dispatcher
        self.readiness = readiness
        self.limits = limits

    async def begin(self, job_id: str) -> Append:
        """An append, used as a context manager: what is not committed vanishes.

        Raises NotFound, JobClosed, ShuttingDown, QueueFull, StorageFull.
        """
        job = await self.store.job(job_id)
        if not job.open:
            raise JobClosed("The job takes no more images.")
        await self.readiness.check_accepts()
        return Append(self, job)


class Append:
    """The images of one request, on their way to an open job."""

    def __init__(self, appender: Appender, job: Job) -> None:
        self._appender = appender
        self._job = job
        self._arrived: list[NewImage] = []
        self._committing: asyncio.Task[list[tuple[int, str]]] | None = None
        self.limits = appender.limits
        self.stage = appender.blobs.stage(job.id)
        self.fingerprint = Fingerprint()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._appender.readiness.give_places(len(self._arrived))
        if not await may_stand(self._committing, self._appender.store):
            await self.stage.discard()

    async def describe(self, spec: JobSpec) -> None:
        """An append brings images and nothing else. Raises InvalidRequest."""
        self.fingerprint.add_spec(spec)
        faults = [
            Fault(f"/{name}", "belongs to the submit of the job")
            for name in sorted(spec.model_fields_set - {"images"})
        ]
        if faults:
            raise InvalidRequest("An append takes images alone.", tuple(faults))

    def check_room(self) -> None:
        """Raises TooManyImages when the job can take no further image."""
        most = self.limits.max_images_per_job
        if self._job.total + len(self._arrived) >= most:
            raise TooManyImages(f"A job takes at most {most} images.")

    async def add(self, image: NewImage) -> None:
        """One more image, its bytes staged. Raises TooManyImages, QueueFull."""
        self.check_room()
        self._appender.readiness.take_place()
        self.fingerprint.add_image(image)
        self._arrived.append(image)

    async def commit(self, idempotency_key: str | None = None) -> list[tuple[int, str]]:
        """Make it durable, its key with it: index and name of each image.

        Raises JobClosed and NotFound when that happened to the job meanwhile,
        TooManyImages, and InvalidRequest when there is no image.
        """
        if not self._arrived:
            raise InvalidRequest(
                "There is no image.", (Fault("/images", "at least one image is needed"),)
            )
        appender = self._appender
        appender.readiness.check_not_draining()
        await self.stage.sync()
        images = await weigh(self._arrived, self._job.recipe)
        key = new_key(idempotency_key, self.fingerprint)
        self._committing = asyncio.create_task(self._store(images, key), name="append-commit")
        return await asyncio.shield(self._committing)

    async def _store(self, images: Sequence[NewImage], key: NewKey | None) -> list[tuple[int, str]]:
        """Rows, then to the dispatcher, whether the request still waits or not."""
        job, accepted = await self._appender.store.append_images(
            self._job.id,
            images,
            now_ms(),
            max_images=self.limits.max_images_per_job,
            key=key,
        )
        self._appender.dispatcher.job_has_work(job)
        return accepted
