from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.rendering import Failure
from imgsvc.domain.retries import (
    DEATH_AT_WORK,
    MAX_DEATHS_ALONE,
    SUSPECT_AFTER,
    TOOK_THE_SERVER_DOWN,
)
from imgsvc.domain.states import Priority
from imgsvc.errors import NotFound
from imgsvc.store.recovery import Recovered
from imgsvc.store.store import Store
from tests.store.builders import CRASHED, FULL, claim, create, key, made, release


async def test_what_was_worked_on_waits_again_and_the_try_does_not_count(store: Store) -> None:
    job = await create(store, 3)
    images = await claim(store, job, 2)
    await store.release_images([release(images[0], count_attempt=True, last_error=CRASHED)], 3_000)
    await claim(store, job, 1)
    seq = (await store.job(job.id)).seq
    recovered = await store.recover(9_000)
    assert (recovered.images, recovered.hidden_jobs) == (2, ())
    after = (await store.images(job.id, limit=9))[0]
    assert [image.state for image in after] == ["pending"] * 3
    assert [(image.attempts, image.claim) for image in after] == [(1, 2), (0, 1), (0, 0)]
    assert after[0].last_error == CRASHED
    assert (await store.job(job.id)).seq == seq + 3
    assert await store.finish_images([made(images[1])], 9_500) == [False]


async def test_an_image_that_was_being_fetched_waits_again(store: Store, database: Path) -> None:
    job = await create(store, 1)
    with sqlite3.connect(database) as other:
        other.execute("UPDATE images SET state = 'fetching'")
    other.close()
    assert (await store.recover(9_000)).images == 1
    assert (await store.image(job.id, 0)).state == "pending"


async def _die_while_processing(store: Store, job: Job, times: int) -> None:
    for _ in range(times):
        await claim(store, job)
        await store.recover(9_000, died=True)


async def _die_with_one_alone(store: Store, job: Job, *, held: bool) -> Recovered:
    """The first image of all that were claimed was alone. held: a worker was at it."""
    first, *others = await claim(store, job)
    assert first.is_suspect
    assert await store.begin_alone(key(first))
    names = _names(first, *others)
    return await store.recover(9_000, died=True, held=names if held else names[1:])


def _names(*images: Image) -> list[str]:
    return [f"{i.job_id}-{i.index}-{i.claim}" for i in images]


async def test_who_a_worker_was_at_is_suspected_much_earlier_than_who_waited(store: Store) -> None:
    job = await create(store, 3)
    for _ in range(2):
        first, *_ = await claim(store, job)
        await store.recover(9_000, died=True, held=_names(first))
    images, _ = await store.images(job.id, limit=9)
    assert [image.is_suspect for image in images] == [True, False, False]
    await _die_while_processing(store, job, SUSPECT_AFTER - 2)
    images, _ = await store.images(job.id, limit=9)
    assert [image.is_suspect for image in images] == [True, True, True]


async def test_deaths_of_the_server_are_counted_and_cost_no_attempt(store: Store) -> None:
    job = await create(store, 2)
    await claim(store, job, 1)
    await store.recover(9_000, died=True)
    await claim(store, job, 1)
    await store.recover(9_000)  # that one had been asked to stop
    images, _ = await store.images(job.id, limit=9)
    assert [(image.interruptions, image.attempts) for image in images] == [(1, 0), (0, 0)]


@pytest.mark.parametrize(
    ("held", "most"), [(True, MAX_DEATHS_ALONE), (False, MAX_DEATHS_ALONE * DEATH_AT_WORK)]
)
async def test_who_was_alone_each_time_the_server_died_has_failed(
    store: Store, held: bool, most: int
) -> None:
    job = await create(store, 2)
    await _die_while_processing(store, job, SUSPECT_AFTER)
    for _ in range(most - 1):
        assert (await _die_with_one_alone(store, job, held=held)).guilty == 0
    recovered = await _die_with_one_alone(store, job, held=held)
    assert (recovered.images, recovered.guilty) == (1, 1)
    guilty = await store.image(job.id, 0)
    assert (guilty.state, guilty.error) == ("failed", TOOK_THE_SERVER_DOWN)
    assert guilty.attempts == 1
    other = await store.image(job.id, 1)
    assert (other.state, other.interruptions) == ("pending", SUSPECT_AFTER)
    assert (await store.job(job.id)).errors == {"worker_crashed": 1}


async def test_who_ran_alone_earlier_is_not_blamed(store: Store) -> None:
    job = await create(store, 1)
    await _die_while_processing(store, job, SUSPECT_AFTER)
    for _ in range(MAX_DEATHS_ALONE * DEATH_AT_WORK):
        (image,) = await claim(store, job)
        assert await store.begin_alone(key(image))
        await store.release_images([release(image)], 3_000)
        assert not await store.begin_alone(key(image))
        await claim(store, job)
        assert (await store.recover(9_000, died=True)).guilty == 0


async def test_a_stop_that_was_asked_for_blames_nobody(store: Store) -> None:
    job = await create(store, 2)
    await _die_while_processing(store, job, SUSPECT_AFTER)
    for _ in range(MAX_DEATHS_ALONE * DEATH_AT_WORK):
        first, _second = await claim(store, job)
        assert await store.begin_alone(key(first))
        recovered = await store.recover(9_000)
        assert (recovered.images, recovered.guilty) == (2, 0)


@pytest.mark.parametrize("waited_for", [None, FULL])
async def test_a_crash_whose_second_try_ends_with_the_server_is_counted_once(
    store: Store, waited_for: Failure | None
) -> None:
    """A kill of all processes reaches the workers first."""
    job = await create(store, 2)
    images = await claim(store, job)
    crashes = [release(i, count_attempt=True, last_error=CRASHED) for i in images]
    await store.release_images(crashes, 3_000)
    (again,) = await claim(store, job, 1)
    await store.release_images([release(again, last_error=waited_for)], 3_500)
    await claim(store, job, 1)
    await store.recover(9_000, died=True)
    after, _ = await store.images(job.id, limit=9)
    assert [(image.last_error, image.attempts) for image in after] == [
        (waited_for, 0),
        (CRASHED, 1),
    ]
    assert [image.has_crashed for image in after] == [False, True]


async def test_a_death_of_the_server_forgets_no_crash_that_it_does_not_make_up_for(
    store: Store,
) -> None:
    job = await create(store, 1)
    (image,) = await claim(store, job)
    await store.release_images([release(image, last_error=CRASHED)], 3_000)
    await claim(store, job)
    await store.recover(9_000, died=True)
    after = await store.image(job.id, 0)
    assert (after.last_error, after.attempts) == (CRASHED, 0)


async def test_a_retry_by_hand_forgets_the_interruptions(store: Store) -> None:
    job = await create(store, 1)
    await _die_while_processing(store, job, SUSPECT_AFTER)
    await store.cancel_job(job.id, 9_500)
    await store.retry_images(job.id)
    assert (await store.image(job.id, 0)).interruptions == 0


async def test_half_submitted_jobs_are_removed(store: Store) -> None:
    hidden = [await create(store, 2, open=True, hidden=True) for _ in range(2)]
    shown = await create(store, 1)
    await claim(store, hidden[0])
    recovered = await store.recover(9_000)
    assert set(recovered.hidden_jobs) == {job.id for job in hidden}
    assert recovered.images == 0
    with pytest.raises(NotFound):
        await store.job(hidden[0].id, hidden=True)
    assert await store.job(shown.id) == shown
    assert store.pending_images == 1


async def test_the_number_of_pending_images_is_known_after_a_restart(database: Path) -> None:
    store = await Store.open(database)
    job = await create(store, 5)
    await create(store, 3, priority=Priority.LOW)
    await store.finish_images([made(i) for i in await claim(store, job, 2)], 3_000)
    assert (store.pending_images, store.pending.jobs) == (6, 2)
    await store.close()
    store = await Store.open(database)
    assert (store.pending_images, store.pending.jobs) == (6, 2)
    assert [store.pending.of(priority) for priority in Priority] == [(0, 0), (3, 0), (3, 0)]
    await store.cancel_job(job.id, 4_000)
    assert (store.pending_images, store.pending.jobs) == (3, 1)
    assert [store.pending.of(priority) for priority in Priority] == [(0, 0), (0, 0), (3, 0)]
    await store.close()
