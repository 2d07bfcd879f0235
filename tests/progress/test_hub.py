"""The hub: latest wins, bounded memory, nobody waits for anybody."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace

import pytest

from imgsvc.domain.job import JobChange
from imgsvc.domain.states import ImageState, JobState
from imgsvc.progress import hub as hub_module
from imgsvc.progress.hub import FEW_READERS, FellBehind, Hub, HubClosed
from tests.factories import change_images, make_image, make_job


async def test_a_reader_gets_images_and_then_the_job_in_order_of_seq() -> None:
    hub, job = Hub(), make_job()
    images = [make_image(job_id=job.id, index=n) for n in range(3)]
    with hub.watch(job.id) as reader:
        hub.publish([change_images(job, *images)])
        events = await reader.take()
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert [event.image and event.image.index for event in events] == [0, 1, 2, None]


async def test_a_slow_reader_keeps_only_the_last_state_of_each_image() -> None:
    hub, job = Hub(), make_job()
    with hub.watch(job.id) as reader:
        for round_ in range(1000):
            image = make_image(job_id=job.id, index=round_ % 3, attempts=round_)
            change = change_images(job, image)
            hub.publish([change])
            job = change.job
        assert reader.unseen <= 4
        events = await reader.take()
    attempts = {event.image.index: event.image.attempts for event in events if event.image}
    assert attempts == {0: 999, 1: 997, 2: 998}
    seqs = [event.seq for event in events]
    assert seqs == sorted(seqs)


async def test_the_job_itself_is_told_only_when_its_state_changes() -> None:
    hub, job = Hub(), make_job(state=JobState.PROCESSING)
    with hub.watch(job.id) as reader:
        first = change_images(job, make_image(job_id=job.id))
        hub.publish([first])
        await reader.take()
        second = change_images(first.job, make_image(job_id=job.id, index=1))
        hub.publish([second])
        assert [event.image is None for event in await reader.take()] == [False]
        done = replace(second.job, state=JobState.COMPLETED)
        hub.publish([change_images(done, make_image(job_id=job.id, index=2))])
        assert [event.image is None for event in await reader.take()] == [False, True]


async def test_readers_of_other_jobs_hear_nothing() -> None:
    hub, job = Hub(), make_job()
    with hub.watch(make_job().id) as other:
        hub.publish([change_images(job, make_image(job_id=job.id))])
        assert other.unseen == 0


async def test_a_reader_of_all_jobs_gets_one_event_a_job_and_no_hidden_ones() -> None:
    hub, job, hidden = Hub(), make_job(), make_job(hidden=True)
    with hub.watch(None) as reader:
        for _ in range(5):
            hub.publish([change_images(job, make_image(job_id=job.id))])
        hub.publish([change_images(hidden, make_image(job_id=hidden.id))])
        assert [event.job.id for event in await reader.take()] == [job.id]


async def test_an_event_is_shared_by_all_readers() -> None:
    hub, job = Hub(), make_job()
    with hub.watch(job.id) as one, hub.watch(job.id) as two:
        hub.publish([change_images(job, make_image(job_id=job.id))])
        first, second = await one.take(), await two.take()
    assert first[0] is second[0]


async def test_a_deleted_job_is_told_as_such() -> None:
    hub, job = Hub(), make_job()
    with hub.watch(job.id) as reader:
        hub.publish([JobChange(job, deleted=True)])
        assert [event.deleted for event in await reader.take()] == [True]


async def test_closing_lets_readers_take_what_is_left_and_then_ends_them() -> None:
    hub, job = Hub(), make_job()
    with hub.watch(job.id) as reader:
        hub.publish([change_images(job, make_image(job_id=job.id, state=ImageState.COMPLETED))])
        hub.close()
        assert await reader.take()
        with pytest.raises(HubClosed):
            await reader.take()
    with hub.watch(job.id) as late, pytest.raises(HubClosed):
        await late.take()


async def test_a_waiting_reader_is_woken_by_a_change_and_by_the_end() -> None:
    hub, job = Hub(), make_job()
    with hub.watch(job.id) as reader:
        waiting = asyncio.create_task(reader.take())
        await asyncio.sleep(0)
        hub.publish([change_images(job, make_image(job_id=job.id))])
        assert len(await waiting) == 2
        waiting = asyncio.create_task(reader.take())
        await asyncio.sleep(0)
        hub.close()
        with pytest.raises(HubClosed):
            await waiting


async def test_taking_some_leaves_the_rest_for_later() -> None:
    hub, job = Hub(), make_job()
    with hub.watch(job.id) as reader:
        images = [make_image(job_id=job.id, index=n) for n in range(10)]
        hub.publish([change_images(job, *images)])
        assert len(await reader.take(most=4)) == 4
        assert len(await reader.take()) == 7


async def test_among_many_readers_each_rests_and_then_takes_what_is_newest() -> None:
    hub, job = Hub(), make_job()
    with ExitStack() as stack:
        reader, *_ = [stack.enter_context(hub.watch(job.id)) for _ in range(FEW_READERS + 5)]
        first = change_images(job, make_image(job_id=job.id))
        hub.publish([first])
        assert len(await reader.take()) == 2
        resting = asyncio.create_task(reader.take())
        second = change_images(first.job, make_image(job_id=job.id, attempts=1))
        hub.publish([second])
        await asyncio.sleep(0)
        hub.publish([change_images(second.job, make_image(job_id=job.id, attempts=2))])
        (event,) = await resting
        assert event.image is not None
        assert event.image.attempts == 2


async def test_a_few_readers_get_everything_at_once() -> None:
    hub, job = Hub(), make_job()
    with hub.watch(job.id) as reader:
        first = change_images(job, make_image(job_id=job.id))
        hub.publish([first])
        await reader.take()
        hub.publish([change_images(first.job, make_image(job_id=job.id, attempts=1))])
        async with asyncio.timeout(0):
            assert len(await reader.take()) == 1


async def test_a_reader_of_all_jobs_that_falls_behind_holds_nothing_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_module, "MOST_UNSEEN_JOBS", 3)
    hub, jobs = Hub(), [make_job() for _ in range(5)]
    with hub.watch(None) as slow, hub.watch(None) as quick:
        hub.publish([JobChange(job) for job in jobs[:3]] * 2)
        assert len(await quick.take()) == 3
        hub.publish([JobChange(job) for job in jobs[3:]])
        assert slow.unseen == 0
        assert len(await quick.take()) == 2
        with pytest.raises(FellBehind):
            await slow.take()
        hub.publish([JobChange(jobs[0])])
        assert [event.job for event in await slow.take()] == [jobs[0]]


async def test_a_reader_of_one_job_may_let_all_its_images_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_module, "MOST_UNSEEN_JOBS", 3)
    hub, job = Hub(), make_job()
    with hub.watch(job.id) as reader:
        hub.publish([change_images(job, *(make_image(job_id=job.id, index=n) for n in range(9)))])
        assert len(await reader.take()) == 10
