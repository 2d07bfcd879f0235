"""Changes to images while they are worked on: claim, finish, release.

A claim gives every dispatch a number of its own. Results and releases carry it, and count
only while the image is still processing under that number, so a late or doubled one is
harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.rendering import Failure, InputFacts, Rendered, TaskKey
from imgsvc.domain.states import ImageState
from imgsvc.store import ledger
from imgsvc.store.changes import change_jobs
from imgsvc.store.rows import (
    dump_analysis,
    dump_input,
    dump_json,
    dump_outputs,
    dump_warnings,
)
from imgsvc.store.sql import IMAGES
from imgsvc.store.writer import Transaction


@dataclass(frozen=True, slots=True)
class ImageResult:
    """What a dispatch came to for good.

    input, duration_ms: None where not known; a Rendered outcome has its own.
    reuse_key: under which the outputs can be found for equal inputs; None for never.
    """

    key: TaskKey
    outcome: Rendered | Failure
    input: InputFacts | None = None
    duration_ms: int | None = None
    reuse_key: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A dispatch that came to nothing: its image waits again.

    count_attempt: whether the try counts; False takes the attempt back.
    last_error: why it failed; None keeps what stood there.
    not_before: milliseconds since 1970; None when it may be claimed at once.
    memory_bytes: what its decode is now known to cost; None keeps what was known.
    """

    key: TaskKey
    count_attempt: bool
    last_error: Failure | None = None
    not_before: int | None = None
    memory_bytes: int | None = None


async def claim_images(
    tx: Transaction, picks: Sequence[tuple[str, int]], now_ms: int
) -> list[Image]:
    """Begin a try of up to `count` images of each job, in index order within a job.

    Images that wait for a later time are passed over. A job that has nothing to claim, or
    is gone, gives nothing. Where one of them failed on the way in, all such images of its job fail
    again instead, which is no try; they are returned as well.
    """
    wanted: dict[str, int] = {}
    for job_id, count in picks:
        if count > 0:
            wanted[job_id] = wanted.get(job_id, 0) + count
    if not wanted:
        return []
    parameters = {"picks": dump_json(list(wanted.items())), "now_ms": now_ms}
    images = await tx.fetch_images(IMAGES["claim_images"], parameters)
    if void := {image.job_id for image in images if image.is_void}:
        parameters = {"job_ids": dump_json(sorted(void)), "now_ms": now_ms}
        failed = await tx.fetch_images(IMAGES["fail_void_images"], parameters)
        images = [image for image in images if not image.is_void] + failed
    await change_jobs(tx, images, partial(_start, now_ms=now_ms), now_ms)
    turns = {job_id: turn for turn, job_id in enumerate(wanted)}
    return sorted(images, key=lambda image: (turns[image.job_id], image.index))


async def begin_alone(tx: Transaction, key: TaskKey) -> bool:
    """Note that nothing runs beside an image. False when the race was lost."""
    parameters = {"job_id": key.job_id, "idx": key.index, "claim": key.claim}
    return bool(await tx.fetch(IMAGES["begin_alone"], parameters))


async def finish_images(tx: Transaction, results: Sequence[ImageResult], now_ms: int) -> list[bool]:
    """Make results final. False stands where the race was lost, or the result is doubled."""
    first = {result.key: result for result in reversed(results)}
    parameters = {"results": dump_json([_result_values(r) for r in first.values()])}
    images = await tx.fetch_images(IMAGES["finish_images"], parameters | {"now_ms": now_ms})
    await change_jobs(tx, images, ledger.count_final, now_ms)
    return _won([result.key for result in results], images)


async def release_images(tx: Transaction, releases: Sequence[Release], now_ms: int) -> list[bool]:
    """Let images wait again. False stands where the race was lost."""
    first = {release.key: release for release in reversed(releases)}
    parameters = {"releases": dump_json([_release_values(r) for r in first.values()])}
    images = await tx.fetch_images(IMAGES["release_images"], parameters)
    await change_jobs(tx, images, _unchanged, now_ms)
    return _won([release.key for release in releases], images)


def _start(job: Job, images: Sequence[Image], *, now_ms: int) -> Job:
    return ledger.count_final(ledger.start(job, now_ms), images)


def _unchanged(job: Job, _images: Sequence[Image]) -> Job:
    return job


def _won(keys: Sequence[TaskKey], images: Sequence[Image]) -> list[bool]:
    """Which keys name a changed image; of equal keys only the first."""
    left = {image.key for image in images}
    won = []
    for key in keys:
        won.append(key in left)
        left.discard(key)
    return won


def _result_values(result: ImageResult) -> list[Any]:
    key = result.key
    match result.outcome:
        case Rendered() as made:
            return [
                key.job_id, key.index, key.claim, ImageState.COMPLETED.value, None, None,
                dump_warnings(made.warnings), dump_input(made.input),
                dump_outputs(made.outputs), made.duration_ms, result.reuse_key,
                dump_analysis(made.analysis),
            ]  # fmt: skip
        case Failure() as failure:
            return [
                key.job_id, key.index, key.claim, ImageState.FAILED.value,
                failure.code.value, failure.message,
                "[]", dump_input(result.input), "[]", result.duration_ms, None, None,
            ]  # fmt: skip


def _release_values(release: Release) -> list[Any]:
    key, error = release.key, release.last_error
    return [
        key.job_id, key.index, key.claim, 0 if release.count_attempt else 1,
        error and error.code.value, error and error.message,
        release.not_before, release.memory_bytes,
    ]  # fmt: skip
