from __future__ import annotations

import pytest

from imgsvc.domain.ids import new_id
from imgsvc.domain.image import NewImage, SourceKind
from imgsvc.domain.job import JobChange
from imgsvc.domain.states import ImageState, JobState, Priority
from imgsvc.errors import Internal, JobClosed, NotFound, TooManyImages
from imgsvc.store.store import Store
from tests.store.builders import DAMAGED, EMPTY, claim, create, made, new_image, new_job


async def test_a_created_job_reads_back_as_it_was_answered(store: Store) -> None:
    new = new_job(label="autumn", priority=Priority.HIGH, preset=None, source="cli")
    job = await store.create_job(new, [new_image(size_bytes=7), new_image(size_bytes=None)], 1_000)
    assert job == await store.job(new.id)
    assert (job.state, job.total, job.input_bytes, job.created_at) == ("pending", 2, 7, 1_000)
    assert (job.label, job.priority, job.preset, job.source) == ("autumn", "high", None, "cli")


async def test_every_fact_about_an_image_is_kept(store: Store) -> None:
    upload = NewImage(new_id(), "ä b.jpg", SourceKind.UPLOAD, 10, "ab" * 32)
    link = NewImage(new_id(), None, SourceKind.URL, url="https://example.org/a.jpg")
    local = NewImage(new_id(), "c/d.png", SourceKind.FILE, 5, path="/photos/c/d.png")
    job = await store.create_job(new_job(), [upload, link, local], 1_000)
    images, _ = await store.images(job.id, limit=10)
    assert [(i.id, i.name, i.kind, i.size_bytes, i.sha256, i.url, i.path) for i in images] == [
        (upload.id, "ä b.jpg", "upload", 10, "ab" * 32, None, None),
        (link.id, "image-1", "url", None, None, "https://example.org/a.jpg", None),
        (local.id, "c/d.png", "file", 5, None, None, "/photos/c/d.png"),
    ]


async def test_an_image_that_failed_on_the_way_in_is_stored_as_failed(store: Store) -> None:
    job = await store.create_job(new_job(), [new_image(failure=EMPTY), new_image()], 1_000)
    assert (job.state, job.failed, job.errors) == (JobState.PENDING, 1, {"empty_image": 1})
    image = await store.image(job.id, 0)
    assert (image.state, image.error, image.finished_at) == (ImageState.FAILED, EMPTY, 1_000)
    assert store.pending_images == 1


async def test_a_job_with_nothing_to_wait_for_is_final_at_once(store: Store) -> None:
    empty = await create(store, 0)
    assert (empty.state, empty.finished_at, empty.expires_at) == ("completed", 1_000, 61_000)
    hopeless = await store.create_job(new_job(), [new_image(failure=EMPTY)], 1_000)
    assert hopeless.state is JobState.FAILED
    assert (await create(store, 0, open=True)).state is JobState.PENDING


async def test_a_job_that_is_kept_for_ever_never_expires(store: Store) -> None:
    assert (await create(store, 0, retain_s=0)).expires_at is None


async def test_an_id_cannot_be_used_twice(store: Store) -> None:
    job = await create(store)
    with pytest.raises(Internal):
        await create(store, id=job.id)


async def test_appended_images_go_on_where_the_job_ended(
    store: Store, told: list[JobChange]
) -> None:
    job = await create(store, 2, open=True)
    images = [new_image(name=None), new_image(name="x.png", failure=DAMAGED)]
    job, accepted = await store.append_images(job.id, images, 2_000)
    assert accepted == [(2, "image-2"), (3, "x.png")]
    assert (job.total, job.failed, job.input_bytes) == (4, 1, 40)
    assert [change.image for change in told[-1].images] == [
        await store.image(job.id, 2),
        await store.image(job.id, 3),
    ]


async def test_a_closed_or_unknown_job_takes_no_images(store: Store) -> None:
    job = await create(store)
    with pytest.raises(JobClosed):
        await store.append_images(job.id, [new_image()], 2_000)
    with pytest.raises(NotFound):
        await store.append_images(new_id(), [new_image()], 2_000)


async def test_an_append_beyond_the_limit_adds_nothing(store: Store) -> None:
    job = await create(store, 2, open=True)
    with pytest.raises(TooManyImages):
        await store.append_images(job.id, [new_image(), new_image()], 2_000, max_images=3)
    assert await store.job(job.id) == job


async def test_an_open_job_is_final_only_after_it_is_closed(store: Store) -> None:
    job = await create(store, 1, open=True)
    await store.finish_images([made(i) for i in await claim(store, job)], 3_000)
    assert (await store.job(job.id)).state is JobState.PROCESSING
    closed = await store.close_job(job.id, 4_000)
    assert (closed.state, closed.finished_at) == (JobState.COMPLETED, 4_000)


async def test_closing_twice_changes_nothing(store: Store, told: list[JobChange]) -> None:
    job = await create(store, 1, open=True)
    closed = await store.close_job(job.id, 2_000)
    before = len(told)
    assert await store.close_job(job.id, 3_000) == closed
    assert len(told) == before
    with pytest.raises(NotFound):
        await store.close_job(new_id(), 3_000)


async def test_a_hidden_job_is_not_found_until_it_is_closed_or_shown(store: Store) -> None:
    for show in (lambda id_: store.close_job(id_, 2_000), store.show_job):
        job = await create(store, 1, open=True, hidden=True)
        image = (await claim(store, job))[0]
        with pytest.raises(NotFound):
            await store.job(job.id)
        with pytest.raises(NotFound):
            await store.image(job.id, 0)
        with pytest.raises(NotFound):
            await store.image_by_id(image.id)
        with pytest.raises(NotFound):
            await store.images(job.id, limit=1)
        assert (await store.job(job.id, hidden=True)).hidden
        assert job.id not in [j.id for j in (await store.jobs(limit=9))[0]]
        assert image.id not in [i.id for i in (await store.images_by_state(None, limit=9))[0]]
        assert not (await show(job.id)).hidden
        assert (await store.job(job.id)).id == job.id
        assert await store.image_by_id(image.id) == await store.image(job.id, 0)


async def test_showing_a_job_leaves_it_open(store: Store) -> None:
    job = await create(store, 1, open=True, hidden=True)
    assert (await store.show_job(job.id)).open


async def test_a_deleted_job_is_gone_with_its_images(store: Store, told: list[JobChange]) -> None:
    job = await create(store, 2)
    images = await claim(store, job)
    assert await store.delete_job(job.id)
    assert told[-1].deleted
    assert told[-1].job.seq > told[-2].job.seq
    assert await store.finish_images([made(i) for i in images], 3_000) == [False, False]
    with pytest.raises(NotFound):
        await store.image_by_id(images[0].id)
    assert not await store.delete_job(job.id)
    assert store.pending_images == 0
