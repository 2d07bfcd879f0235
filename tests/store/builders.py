"""New jobs, images and results, with sensible values wherever a test does not care."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from imgsvc.domain.ids import new_id
from imgsvc.domain.image import Image, NewImage, SourceKind
from imgsvc.domain.job import Job, NewJob
from imgsvc.domain.rendering import Failure, InputFacts, OutputFacts, Rendered, TaskKey
from imgsvc.domain.states import Priority
from imgsvc.errors import ImageErrorCode
from imgsvc.store.images import ImageResult, Release
from imgsvc.store.store import Store

DAMAGED = Failure(ImageErrorCode.CORRUPT_IMAGE, "The file is damaged.")
EMPTY = Failure(ImageErrorCode.EMPTY_IMAGE, "There are no bytes.")
CRASHED = Failure(ImageErrorCode.WORKER_CRASHED, "The worker died.")
FULL = Failure(ImageErrorCode.STORAGE_FULL, "There is no space.")
PHOTO = InputFacts("jpeg", 4000, 3000, 1)
OUTPUT = OutputFacts("standard", "webp", 800, 600, 1, 100, "ab" * 32)
COST_MS = 7
RENDERED = Rendered(PHOTO, (OUTPUT,), (), 80)


def new_job(**fields: Any) -> NewJob:
    job = NewJob(
        id=new_id(),
        recipe='{"variants":[{"name":"standard"}]}',
        preset="standard",
        label=None,
        priority=Priority.NORMAL,
        source="api",
        open=False,
        hidden=False,
        retain_s=60,
    )
    return replace(job, **fields)


def new_image(**fields: Any) -> NewImage:
    image = NewImage(
        id=new_id(),
        name="a.jpg",
        kind=SourceKind.UPLOAD,
        size_bytes=10,
        sha256="cd" * 32,
        cost_ms=COST_MS,
    )
    return replace(image, **fields)


def new_images(count: int) -> list[NewImage]:
    return [new_image() for _ in range(count)]


async def create(store: Store, count: int = 1, now_ms: int = 1_000, **fields: Any) -> Job:
    return await store.create_job(new_job(**fields), new_images(count), now_ms)


async def claim(store: Store, job: Job, count: int = 100, now_ms: int = 2_000) -> list[Image]:
    return await store.claim_images([(job.id, count)], now_ms)


def key(image: Image) -> TaskKey:
    return TaskKey(image.job_id, image.index, image.claim)


def made(image: Image) -> ImageResult:
    return ImageResult(key(image), RENDERED)


def failed(image: Image, failure: Failure = DAMAGED) -> ImageResult:
    return ImageResult(key(image), failure, PHOTO, 5)


def release(image: Image, **fields: Any) -> Release:
    return Release(key(image), **{"count_attempt": False, **fields})
