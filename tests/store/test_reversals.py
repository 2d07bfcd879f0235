from __future__ import annotations

import pytest

from imgsvc.domain.ids import new_id
from imgsvc.domain.job import JobChange
from imgsvc.domain.states import ImageState, JobState
from imgsvc.errors import NotFound
from imgsvc.store.store import Store
from tests.store.builders import CRASHED, DAMAGED, claim, create, failed, made, release


async def test_a_cancel_ends_what_is_not_final_and_keeps_what_is(
    store: Store, told: list[JobChange]
) -> None:
    job = await create(store, 4, open=True)
    images = await claim(store, job, 3)
    await store.finish_images([made(images[0]), failed(images[1])], 3_000)
    cancelled = await store.cancel_job(job.id, 4_000)
    assert (cancelled.state, cancelled.open, cancelled.finished_at) == ("cancelled", False, 4_000)
    assert (cancelled.completed, cancelled.failed, cancelled.cancelled) == (1, 1, 2)
    states = [image.state for image in (await store.images(job.id, limit=9))[0]]
    assert states == ["completed", "failed", "cancelled", "cancelled"]
    assert [change.image.index for change in told[-1].images] == [2, 3]
    assert store.pending_images == 0


async def test_a_try_cut_short_by_a_cancel_does_not_count(store: Store) -> None:
    job = await create(store, 3)
    images = await claim(store, job, 2)
    crashed = release(images[0], count_attempt=True, last_error=CRASHED)
    await store.release_images([crashed], 3_000)
    await store.cancel_job(job.id, 4_000)
    cancelled = (await store.images(job.id, limit=9))[0]
    assert [image.attempts for image in cancelled] == [1, 0, 0]
    assert {image.last_error for image in cancelled} == {None}


async def test_cancelling_a_final_job_changes_nothing(store: Store, told: list[JobChange]) -> None:
    job = await create(store, 1)
    await store.finish_images([made(i) for i in await claim(store, job)], 3_000)
    before = len(told)
    assert (await store.cancel_job(job.id, 4_000)).state is JobState.COMPLETED
    cancelled = await store.cancel_job((await create(store, 2)).id, 4_000)
    assert await store.cancel_job(cancelled.id, 5_000) == cancelled
    assert len(told) == before + 2
    with pytest.raises(NotFound):
        await store.cancel_job(new_id(), 4_000)


async def test_a_cancelled_open_job_without_images_is_completed(store: Store) -> None:
    job = await create(store, 0, open=True)
    assert (await store.cancel_job(job.id, 2_000)).state is JobState.COMPLETED


async def test_a_retry_lets_failed_and_cancelled_images_begin_anew(store: Store) -> None:
    job = await create(store, 3)
    images = await claim(store, job, 2)
    await store.finish_images([made(images[0]), failed(images[1])], 3_000)
    await store.cancel_job(job.id, 4_000)
    retried = await store.retry_images(job.id)
    assert (retried.state, retried.finished_at, retried.expires_at) == ("processing", None, None)
    assert (retried.completed, retried.failed, retried.cancelled) == (1, 0, 0)
    assert retried.errors == {}
    image = await store.image(job.id, 1)
    assert (image.state, image.attempts, image.claim) == (ImageState.PENDING, 0, 1)
    assert (image.error, image.finished_at, image.duration_ms) == (None, None, None)
    assert image.last_error == DAMAGED
    assert (await store.image(job.id, 2)).last_error is None
    again = await claim(store, job)
    assert [(i.index, i.claim) for i in again] == [(1, 2), (2, 1)]
    await store.finish_images([made(i) for i in again], 6_000)
    assert (await store.job(job.id)).state is JobState.COMPLETED


async def test_a_retry_by_code_leaves_the_others(store: Store) -> None:
    job = await create(store, 4)
    images = await claim(store, job, 3)
    results = [failed(images[0], DAMAGED), failed(images[1], CRASHED), failed(images[2], DAMAGED)]
    await store.finish_images(results, 3_000)
    await store.cancel_job(job.id, 4_000)
    retried = await store.retry_images(job.id, codes=["corrupt_image"])
    assert (retried.failed, retried.cancelled, retried.errors) == (1, 1, {"worker_crashed": 1})
    states = [image.state for image in (await store.images(job.id, limit=9))[0]]
    assert states == ["pending", "failed", "pending", "cancelled"]


async def test_a_retry_by_index_leaves_the_others(store: Store) -> None:
    job = await create(store, 3)
    images = await claim(store, job)
    await store.finish_images([made(images[0]), failed(images[1]), failed(images[2])], 3_000)
    assert (await store.retry_images(job.id, indexes=[0, 2, 99])).failed == 1
    states = [image.state for image in (await store.images(job.id, limit=9))[0]]
    assert states == ["completed", "failed", "pending"]


async def test_a_retry_that_matches_nothing_changes_nothing(
    store: Store, told: list[JobChange]
) -> None:
    job = await create(store, 1)
    await store.finish_images([failed(i) for i in await claim(store, job)], 3_000)
    final, before = await store.job(job.id), len(told)
    assert await store.retry_images(job.id, codes=["timeout"]) == final
    assert await store.retry_images(job.id, indexes=[]) == final
    assert len(told) == before
    with pytest.raises(NotFound):
        await store.retry_images(new_id())


async def test_a_retry_while_the_job_runs_leaves_its_state(store: Store) -> None:
    job = await create(store, 2)
    await store.finish_images([failed(i) for i in await claim(store, job, 1)], 3_000)
    assert (await store.retry_images(job.id)).state is JobState.PROCESSING
    assert store.pending_images == 2


async def test_changes_to_very_many_images_are_all_told_and_numbered(
    store: Store, told: list[JobChange]
) -> None:
    job = await create(store, 500)
    cancelled = await store.cancel_job(job.id, 2_000)
    assert [change.seq for change in told[-1].images] == list(range(2, 502))
    assert cancelled.seq == 502
    assert (await store.retry_images(job.id)).seq == 1_003
