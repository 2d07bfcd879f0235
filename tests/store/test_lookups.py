from __future__ import annotations

import pytest

from imgsvc.domain.ids import new_id
from imgsvc.domain.states import ImageState, JobState
from imgsvc.errors import NotFound
from imgsvc.store.store import Store
from tests.store.builders import OUTPUT, claim, create, failed, made, new_image, release


async def test_jobs_are_listed_newest_first_page_by_page(store: Store) -> None:
    jobs = [await create(store) for _ in range(5)]
    newest = [job.id for job in reversed(jobs)]
    seen, after = [], None
    while True:
        page, after = await store.jobs(limit=2, after=after)
        seen += [job.id for job in page]
        if after is None:
            break
    assert seen == newest
    assert (await store.jobs(limit=5))[1] is None


async def test_jobs_are_listed_by_state_and_label(store: Store) -> None:
    plain = await create(store)
    labelled = await create(store, label="shop")
    done = await create(store, 0, label="shop")

    async def listed(status: JobState | None, label: str | None) -> list[str]:
        return [job.id for job in (await store.jobs(status, label, limit=9))[0]]

    assert await listed(JobState.PENDING, None) == [labelled.id, plain.id]
    assert await listed(None, "shop") == [done.id, labelled.id]
    assert await listed(JobState.COMPLETED, "shop") == [done.id]
    assert await listed(JobState.FAILED, "shop") == []


async def test_images_are_listed_in_index_order_page_by_page(store: Store) -> None:
    job = await create(store, 5)
    first, after = await store.images(job.id, limit=3)
    assert ([image.index for image in first], after) == ([0, 1, 2], 2)
    rest, end = await store.images(job.id, limit=3, after=after)
    assert ([image.index for image in rest], end) == ([3, 4], None)
    assert await store.images(job.id, limit=3, after=4) == ([], None)
    with pytest.raises(NotFound):
        await store.images(new_id(), limit=3)
    with pytest.raises(NotFound):
        await store.image(job.id, 5)


async def test_images_are_listed_by_state(store: Store) -> None:
    job = await create(store, 4)
    images = await claim(store, job, 3)
    await store.finish_images([failed(images[0]), made(images[1]), failed(images[2])], 3_000)
    page, after = await store.images(job.id, ImageState.FAILED, limit=1)
    assert ([image.index for image in page], after) == ([0], 0)
    page, after = await store.images(job.id, ImageState.FAILED, limit=1, after=after)
    assert ([image.index for image in page], after) == ([2], None)


async def test_images_across_jobs_are_listed_newest_first(store: Store) -> None:
    jobs = [await create(store, 2) for _ in range(2)]
    images = await store.claim_images([(job.id, 2) for job in jobs], 2_000)
    await store.finish_images([failed(image) for image in images[1:]], 3_000)
    newest = [image.id for image in reversed(images)]
    page, after = await store.images_by_state(ImageState.FAILED, limit=2)
    assert ([image.id for image in page], after) == (newest[:2], newest[1])
    page, after = await store.images_by_state(ImageState.FAILED, limit=2, after=after)
    assert ([image.id for image in page], after) == (newest[2:3], None)
    assert [image.id for image in (await store.images_by_state(None, limit=9))[0]] == newest


async def test_all_images_are_walked_in_batches(store: Store) -> None:
    job = await create(store, 7)
    images = await claim(store, job, 4)
    await store.finish_images([made(image) for image in images[::2]], 3_000)
    assert [image.index async for image in store.iter_images(job.id, batch=3)] == list(range(7))
    done = store.iter_images(job.id, ImageState.COMPLETED, batch=1)
    assert [image.index async for image in done] == [0, 2]
    with pytest.raises(NotFound):
        await anext(store.iter_images(new_id()))


async def test_a_walk_ends_when_its_job_is_deleted(store: Store) -> None:
    job = await create(store, 5)
    seen = []
    async for image in store.iter_images(job.id, batch=2):
        seen.append(image.index)
        await store.delete_job(job.id)
    assert seen == [0, 1]


async def test_names_are_listed_in_index_order(store: Store) -> None:
    job = await create(store, 1, open=True)
    await store.append_images(job.id, [new_image(name=None)], 2_000)
    assert await store.image_names(job.id) == [(0, "a.jpg"), (1, "image-1")]


async def test_known_ids_are_told_from_others(store: Store) -> None:
    job = await create(store)
    hidden = await create(store, hidden=True)
    assert await store.job_ids([job.id, new_id(), hidden.id, "lost+found"]) == {job.id, hidden.id}
    assert await store.job_ids([]) == set()


async def test_jobs_with_pending_images_are_found_and_when_delayed_ones_come_up(
    store: Store,
) -> None:
    plain = await create(store, 2)
    delayed, mixed, running = [await create(store, 2) for _ in range(3)]
    images = await claim(store, delayed)
    await store.release_images(
        [release(images[0], not_before=9_000), release(images[1], not_before=8_000)], 3_000
    )
    images = await claim(store, mixed, 1)
    await store.release_images([release(images[0], not_before=9_000)], 3_000)
    await claim(store, running)
    assert await store.jobs_with_pending() == [plain.id, delayed.id, mixed.id]
    times = [await store.next_try_ms(job.id) for job in (plain, delayed, mixed, running)]
    assert times == [None, 8_000, 9_000, None]


async def test_expired_jobs_are_found_longest_expired_first(store: Store) -> None:
    late = await create(store, 0, now_ms=5_000)
    early = await create(store, 0, now_ms=1_000)
    await create(store, 0, now_ms=1_000, retain_s=0)
    await create(store, 1, now_ms=1_000)
    assert await store.expired_jobs(60_999, 9) == []
    assert await store.expired_jobs(65_000, 9) == [early.id, late.id]
    assert await store.expired_jobs(65_000, 1) == [early.id]


async def test_open_jobs_are_found_that_nobody_appends_to(store: Store) -> None:
    idle = await create(store, 0, open=True, now_ms=1_000)
    busy = await create(store, 0, open=True, now_ms=1_000)
    await create(store, 0, open=True, hidden=True, now_ms=1_000)
    await create(store, 1, now_ms=1_000)
    await store.append_images(busy.id, [new_image()], 5_000)
    assert await store.idle_open_jobs(4_999, 9) == [idle.id]
    assert await store.idle_open_jobs(5_000, 9) == [idle.id, busy.id]


async def test_files_are_known_of_every_image_whatever_its_state(store: Store) -> None:
    job = await create(store, 2, hidden=True)
    (image,) = await claim(store, job, 1)
    await store.finish_images([made(image)], 3_000)
    other = await create(store, 1)
    files = await store.image_files([job.id])
    done, waiting = sorted(files, key=lambda image: not image.is_completed)
    assert (done.image_id, done.claim, done.is_completed) == (image.id, image.claim, True)
    assert done.outputs == ((OUTPUT.variant, OUTPUT.format, OUTPUT.sha256),)
    assert (waiting.is_completed, waiting.outputs) == (False, ())
    both = await store.image_files([other.id, job.id, new_id()])
    assert sorted(image.job_id for image in both) == sorted([job.id, job.id, other.id])
    assert await store.image_files([]) == []
    totals = {job.id: 2, other.id: 1}
    assert await store.job_totals([job.id, new_id(), other.id]) == totals
