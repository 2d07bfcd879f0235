from __future__ import annotations

from dataclasses import replace

from imgsvc.domain.job import JobChange
from imgsvc.domain.rendering import ImageWarning, OutputFacts, Rendered
from imgsvc.domain.states import ImageState, JobState
from imgsvc.errors import WarningCode
from imgsvc.store.images import ImageResult
from imgsvc.store.store import Store
from tests.store.builders import (
    CRASHED,
    DAMAGED,
    FULL,
    OUTPUT,
    PHOTO,
    claim,
    create,
    failed,
    key,
    made,
    release,
)


async def test_a_claim_begins_a_try_and_starts_the_job(store: Store) -> None:
    job = await create(store, 2)
    image = (await claim(store, job, 1, now_ms=2_000))[0]
    assert image == await store.image(job.id, 0)
    assert (image.state, image.claim, image.attempts) == (ImageState.PROCESSING, 1, 1)
    assert image.started_at == 2_000
    started = await store.job(job.id)
    assert (started.state, started.started_at) == (JobState.PROCESSING, 2_000)
    await claim(store, job, 1, now_ms=3_000)
    assert (await store.job(job.id)).started_at == 2_000


async def test_claims_come_in_the_order_of_the_picks_and_indexes(store: Store) -> None:
    first, second = await create(store, 3), await create(store, 5)
    picks = [(second.id, 2), (first.id, 9), ("gone", 3), (second.id, 1), (first.id, 0)]
    images = await store.claim_images(picks, 2_000)
    expected = [(second.id, 0), (second.id, 1), (second.id, 2)]
    expected += [(first.id, 0), (first.id, 1), (first.id, 2)]
    assert [(image.job_id, image.index) for image in images] == expected
    assert await store.claim_images([], 2_000) == []


async def test_no_image_is_claimed_twice(store: Store) -> None:
    job = await create(store, 3)
    assert [image.index for image in await claim(store, job, 2)] == [0, 1]
    assert [image.index for image in await claim(store, job, 2)] == [2]
    assert await claim(store, job, 2) == []


async def test_a_delayed_image_is_passed_over_until_its_time(store: Store) -> None:
    job = await create(store, 3)
    images = await claim(store, job, 2)
    await store.release_images([release(i, not_before=9_000) for i in images], 3_000)
    assert [image.index for image in await claim(store, job, 2, now_ms=8_999)] == [2]
    assert [image.index for image in await claim(store, job, 2, now_ms=9_000)] == [0, 1]


async def test_a_result_reads_back_with_all_its_facts(store: Store) -> None:
    job = await create(store, 1)
    image = (await claim(store, job))[0]
    outputs = (OUTPUT, OutputFacts("thumb", "avif", 20, 10, 3, 50, "ef" * 32, reused=True))
    warnings = (ImageWarning(WarningCode.NOT_ENLARGED, "It is smaller."),)
    outcome = Rendered(PHOTO, outputs, warnings, 80)
    assert await store.finish_images([ImageResult(key(image), outcome)], 3_000) == [True]
    done = await store.image(job.id, 0)
    assert (done.state, done.outputs, done.warnings) == ("completed", outputs, warnings)
    assert (done.input, done.duration_ms, done.finished_at) == (PHOTO, 80, 3_000)
    finished = await store.job(job.id)
    assert (finished.state, finished.completed, finished.output_bytes) == ("completed", 1, 150)
    assert (finished.finished_at, finished.expires_at) == (3_000, 63_000)


async def test_a_failure_reads_back_and_is_counted_by_its_code(store: Store) -> None:
    job = await create(store, 3)
    images = await claim(store, job)
    results = [failed(images[0]), made(images[1]), failed(images[2])]
    assert await store.finish_images(results, 3_000) == [True, True, True]
    image = await store.image(job.id, 0)
    assert (image.state, image.error, image.input, image.duration_ms) == (
        ImageState.FAILED,
        DAMAGED,
        PHOTO,
        5,
    )
    job = await store.job(job.id)
    assert (job.state, job.failed, job.errors) == ("partial", 2, {"corrupt_image": 2})


async def test_a_job_without_any_output_is_failed(store: Store) -> None:
    job = await create(store, 1)
    await store.finish_images([failed(i) for i in await claim(store, job)], 3_000)
    assert (await store.job(job.id)).state is JobState.FAILED


async def test_results_of_several_jobs_are_finished_together(store: Store) -> None:
    jobs = [await create(store, 2) for _ in range(3)]
    images = await store.claim_images([(job.id, 2) for job in jobs], 2_000)
    assert all(await store.finish_images([made(image) for image in images], 3_000))
    assert {(await store.job(job.id)).state for job in jobs} == {JobState.COMPLETED}


async def test_a_late_or_doubled_result_loses(store: Store) -> None:
    job = await create(store, 2)
    old = (await claim(store, job, 1))[0]
    await store.release_images([release(old)], 3_000)
    new = (await claim(store, job, 1))[0]
    assert new.claim == old.claim + 1
    result = made(new)
    results = [failed(old), result, failed(new), result]
    assert await store.finish_images(results, 4_000) == [False, True, False, False]
    assert await store.finish_images([made(new)], 5_000) == [False]
    assert await store.release_images([release(new)], 5_000) == [False]
    assert (await store.job(job.id)).completed == 1


async def test_a_result_for_a_cancelled_image_loses(store: Store) -> None:
    job = await create(store, 1)
    image = (await claim(store, job))[0]
    await store.cancel_job(job.id, 3_000)
    assert await store.finish_images([made(image)], 4_000) == [False]
    assert (await store.image(job.id, 0)).outputs == ()


async def test_a_release_that_counts_keeps_the_attempt_and_its_failure(store: Store) -> None:
    job = await create(store, 1)
    image = (await claim(store, job))[0]
    counted = release(image, count_attempt=True, last_error=CRASHED)
    assert await store.release_images([counted], 3_000) == [True]
    waiting = await store.image(job.id, 0)
    assert (waiting.state, waiting.attempts, waiting.last_error) == ("pending", 1, CRASHED)
    assert (waiting.error, waiting.started_at) == (None, None)
    again = (await claim(store, job))[0]
    assert (again.attempts, again.claim, again.last_error) == (2, 2, CRASHED)
    await store.release_images([release(again)], 4_000)
    assert (await store.image(job.id, 0)).last_error == CRASHED


async def test_a_crash_is_remembered_whatever_is_waited_for_after_it(store: Store) -> None:
    job = await create(store, 1)
    (image,) = await claim(store, job)
    assert not image.has_crashed
    await store.release_images([release(image, count_attempt=True, last_error=CRASHED)], 3_000)
    (image,) = await claim(store, job)
    await store.release_images([release(image, last_error=FULL)], 4_000)
    waiting = await store.image(job.id, 0)
    assert (waiting.last_error, waiting.has_crashed, waiting.attempts) == (FULL, True, 1)
    await claim(store, job)
    await store.recover(5_000)
    assert (await store.image(job.id, 0)).has_crashed
    await store.cancel_job(job.id, 6_000)
    await store.retry_images(job.id)
    assert not (await store.image(job.id, 0)).has_crashed


async def test_a_crash_that_does_not_count_is_not_the_first_of_two(store: Store) -> None:
    job = await create(store, 1)
    (image,) = await claim(store, job)
    await store.release_images([release(image, last_error=CRASHED)], 3_000)
    assert not (await store.image(job.id, 0)).has_crashed


async def test_a_release_that_does_not_count_takes_the_attempt_back(store: Store) -> None:
    job = await create(store, 1)
    image = (await claim(store, job))[0]
    await store.release_images([release(image, memory_bytes=1 << 30)], 3_000)
    again = (await claim(store, job))[0]
    assert (again.attempts, again.claim, again.memory_bytes) == (1, 2, 1 << 30)
    await store.release_images([release(again)], 4_000)
    assert (await store.image(job.id, 0)).memory_bytes == 1 << 30


async def test_the_last_error_stands_only_while_the_image_waits(store: Store) -> None:
    job = await create(store, 2)
    images = await claim(store, job)
    returned = [release(i, count_attempt=True, last_error=CRASHED) for i in images]
    await store.release_images(returned, 3_000)
    images = await claim(store, job)
    await store.finish_images([made(images[0]), failed(images[1], CRASHED)], 4_000)
    made_image, failed_image = (await store.images(job.id, limit=2))[0]
    assert (made_image.last_error, made_image.attempts) == (None, 2)
    assert (failed_image.last_error, failed_image.error) == (None, CRASHED)


async def test_every_image_change_and_the_job_get_numbers_of_their_own(
    store: Store, told: list[JobChange]
) -> None:
    job = await create(store, 3)
    images = await claim(store, job)
    await store.finish_images([made(images[2]), made(images[0])], 3_000)
    assert [[change.seq for change in told_.images] for told_ in told] == [[], [2, 3, 4], [6, 7]]
    assert [told_.job.seq for told_ in told] == [1, 5, 8]
    assert told[-1].job == await store.job(job.id)
    assert [change.image.index for change in told[-1].images] == [0, 2]
    assert [change.image for change in told[-1].images] == [
        await store.image(job.id, 0),
        await store.image(job.id, 2),
    ]


async def test_a_lost_race_tells_nobody_anything(store: Store, told: list[JobChange]) -> None:
    job = await create(store, 1)
    image = (await claim(store, job))[0]
    before = len(told)
    await store.finish_images([made(replace(image, claim=7))], 3_000)
    await store.claim_images([(job.id, 4)], 3_000)
    assert len(told) == before
