"""Changes to images given by URL while their bytes are fetched: begin, finish, fail, release.

A try has a claim, as a dispatch to a worker has, and what comes of it counts only while the
image is still being fetched under that number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.rendering import Failure, TaskKey
from imgsvc.domain.states import Priority
from imgsvc.store import ledger
from imgsvc.store.changes import change_jobs
from imgsvc.store.rows import dump_json
from imgsvc.store.sql import FETCHES
from imgsvc.store.writer import Transaction

DELAY_AT_ONCE = 500
"""Images of a host that is left alone which begin to wait for it, or fail, by one write."""


@dataclass(frozen=True, slots=True)
class FetchDelay:
    """Until when a host is left alone, milliseconds since 1970, and what is said of it.

    since: images of earlier ids have waited for too long, and fail. before: those of this id and
    later ones begin.
    """

    fetch_at: int
    failure: Failure
    since: str = ""
    before: str = "~"


@dataclass(frozen=True, slots=True)
class FetchPick:
    """Whose turn it is: the host, and the job, or the next one that has images there.

    count: images of one job, at most. delay: images that the host was never asked for wait or
    fail, many at once, of whatever job; the others begin.
    """

    priority: Priority
    host: str
    job_id: str
    count: int = 1
    delay: FetchDelay | None = None


@dataclass(frozen=True, slots=True)
class FetchedInput:
    """The bytes of an image. cost_ms: predicted milliseconds of one worker.

    guessed_ms: what was predicted before they were known.
    """

    key: TaskKey
    size_bytes: int
    sha256: str
    cost_ms: int
    guessed_ms: int


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """count_attempt: whether the try counts; False takes the attempt back."""

    key: TaskKey
    failure: Failure
    count_attempt: bool = True


@dataclass(frozen=True, slots=True)
class FetchRelease:
    """A try that came to nothing: the image waits for another one.

    count_attempt: whether it counts; False takes the attempt back.
    last_error: why it failed; None keeps what stood there.
    fetch_at: milliseconds since 1970; 0 when it may be fetched at once.
    host: who is asked then; None for the same as before.
    way: how far it was led; None where its own URL is asked for.
    """

    key: TaskKey
    count_attempt: bool
    last_error: Failure | None = None
    fetch_at: int = 0
    host: str | None = None
    way: str | None = None


async def begin_fetches(tx: Transaction, picks: Sequence[FetchPick], now_ms: int) -> list[Image]:
    """Begin a try of up to `count` images of each pick, in index order; where two name the same
    image, of that one.
    """
    delays = {(pick.priority, pick.host): pick.delay for pick in picks if pick.delay}
    for (priority, host), delay in delays.items():
        await _delay_fetches(tx, priority, host, delay, now_ms)
    values = [[pick.priority.rank, pick.host, pick.job_id, pick.count] for pick in picks]
    images = await tx.fetch_images(FETCHES["begin_fetches"], {"picks": dump_json(values)})
    await change_jobs(tx, images, partial(_start, now_ms=now_ms), now_ms)
    return images


async def finish_fetches(
    tx: Transaction, ended: Sequence[tuple[FetchedInput, int]]
) -> list[Job | None]:
    """Let images wait for a worker: the job of each, or None where the race was lost.

    ended: what was fetched, and when, in milliseconds since 1970.
    """
    values = [_fetched_values(fetched) for fetched, _ in ended]
    images = await tx.fetch_images(FETCHES["finish_fetches"], {"fetched": dump_json(values)})
    guessed_ms = {fetched.key: fetched.guessed_ms for fetched, _ in ended}
    now_ms = max(now_ms for _, now_ms in ended)
    adjust = partial(_count_fetched, guessed_ms=guessed_ms)
    jobs = {job.id: job for job in await change_jobs(tx, images, adjust, now_ms)}
    won = {image.key: jobs[image.job_id] for image in images}
    return [won.get(fetched.key) for fetched, _ in ended]


async def fail_fetch(tx: Transaction, failed: FetchFailure, now_ms: int) -> bool:
    """Make the failure final. False where the race was lost."""
    parameters = {
        **_named(failed.key),
        **_explained(failed.failure),
        "uncounted": 0 if failed.count_attempt else 1,
        "now_ms": now_ms,
    }
    images = await tx.fetch_images(FETCHES["fail_fetch"], parameters)
    return bool(await change_jobs(tx, images, ledger.count_final, now_ms))


async def release_fetch(tx: Transaction, release: FetchRelease, now_ms: int) -> bool:
    """Let the image wait for another try. False where the race was lost."""
    parameters = {
        **_named(release.key),
        **_explained(release.last_error),
        "uncounted": 0 if release.count_attempt else 1,
        "fetch_at": release.fetch_at,
        "host": release.host,
        "way": release.way,
    }
    images = await tx.fetch_images(FETCHES["release_fetch"], parameters)
    return bool(await change_jobs(tx, images, _unchanged, now_ms))


async def ripen_fetches(tx: Transaction, now_ms: int, limit: int) -> int:
    """Nobody sees a difference, so nobody is told."""
    return len(await tx.fetch(FETCHES["ripen_fetches"], {"now_ms": now_ms, "limit": limit}))


async def recall_fetches(tx: Transaction, host: str, fetch_at: int, limit: int) -> int:
    """Nobody is told, either."""
    parameters = {"host": host, "fetch_at": fetch_at, "limit": limit}
    return len(await tx.fetch(FETCHES["recall_fetches"], parameters))


async def _delay_fetches(
    tx: Transaction, priority: Priority, host: str, delay: FetchDelay, now_ms: int
) -> None:
    parameters = {
        **_explained(delay.failure),
        "rank": priority.rank,
        "host": host,
        "since": delay.since,
        "limit": DELAY_AT_ONCE,
    }
    waiting = {"before": delay.before, "fetch_at": delay.fetch_at}
    images = await tx.fetch_images(FETCHES["delay_fetches"], parameters | waiting)
    if delay.since:
        failing = {"now_ms": now_ms}
        images += await tx.fetch_images(FETCHES["give_up_fetches"], parameters | failing)
    await change_jobs(tx, images, ledger.count_final, now_ms)


def _start(job: Job, _images: Sequence[Image], *, now_ms: int) -> Job:
    return ledger.start(job, now_ms)


def _count_fetched(job: Job, images: Sequence[Image], *, guessed_ms: Mapping[TaskKey, int]) -> Job:
    return ledger.count_fetched(job, images, sum(guessed_ms[image.key] for image in images))


def _unchanged(job: Job, _images: Sequence[Image]) -> Job:
    return job


def _named(key: TaskKey) -> dict[str, Any]:
    return {"job_id": key.job_id, "idx": key.index, "claim": key.claim}


def _fetched_values(fetched: FetchedInput) -> list[Any]:
    key = fetched.key
    return [
        *(key.job_id, key.index, key.claim),
        *(fetched.size_bytes, fetched.sha256, fetched.cost_ms),
    ]


def _explained(failure: Failure | None) -> dict[str, Any]:
    return {
        "error_code": failure and failure.code.value,
        "error_message": failure and failure.message,
    }
