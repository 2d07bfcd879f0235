"""Hosts that keep failing: what becomes of the images that wait for them."""

from __future__ import annotations

import pytest

from tests.fetching.background import Background
from tests.fetching.hosts import Gate, Host, answer, hang_up
from tests.pictures import make_jpeg

PICTURE = make_jpeg(64, 48)


async def test_a_dead_host_is_left_alone_and_holds_up_nobody(
    back: Background, host: Host, other_host: Host
) -> None:
    host.answers["/"] = hang_up
    other_host.answers["/"] = answer(PICTURE)
    dead = await back.submit(*[host.url()] * 40)
    good = await back.submit(*[other_host.url()] * 40)
    await back.run_through()
    assert all([image.sha256 async for image in back.store.iter_images(good.id)])
    asked = len(host.asked)
    assert asked <= 2 * (5 + 4)  # a request that is hung up on is sent once more at once
    images = [image async for image in back.store.iter_images(dead.id)]
    assert 5 <= sum(image.attempts for image in images) <= 8
    assert images[-1].attempts == 0
    told = images[-1].last_error
    assert told is not None
    assert "is left alone until" in told.message
    back.clock.advance(29.9)
    await back.run_once()
    await back.run_through()
    assert len(host.asked) == asked
    back.clock.advance(0.2)
    await back.run_once()
    assert asked < len(host.asked) <= asked + 2


async def test_a_host_that_is_left_alone_costs_no_attempts(back: Background, host: Host) -> None:
    host.answers["/"] = answer(status=503)
    job = await back.submit(*[host.url()] * 20)
    await back.run_through()
    back.clock.advance(31)
    await back.run_once()  # one image tries the host, in vain
    await back.run_through()
    host.answers["/"] = answer(PICTURE)
    back.clock.advance(61)
    await back.run_once()
    await back.run_through()
    images = [image async for image in back.store.iter_images(job.id)]
    assert all(image.sha256 for image in images)
    assert max(image.attempts for image in images) <= 2


async def test_a_host_that_does_not_come_back_is_not_waited_for_for_ever(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.answers["/"] = answer(status=503)
    job = await back.submit(*[host.url()] * 20)
    passed_s = 0
    while not (await back.store.job(job.id)).state.is_final:
        await back.run_once()
        await back.run_through()
        back.clock.advance(5)
        passed_s += 5
    assert 120 <= passed_s <= 240
    images = [image async for image in back.store.iter_images(job.id)]
    assert sum(image.attempts for image in images) == len(host.asked) <= 5 + 4 + 3
    assert images[-1].attempts == 0
    assert images[-1].error is not None
    assert "is left alone until" in images[-1].error.message
    submitted_ms = back.clock()
    monkeypatch.setattr("imgsvc.fetching.fetches.created_ms", lambda _: submitted_ms)
    later = await back.submit(host.url())
    await back.run_once()
    assert (await back.image(later)).state == "pending"


async def test_a_host_on_trial_is_asked_for_one_image_first(back: Background, host: Host) -> None:
    host.answers["/"] = answer(status=503)
    job = await back.submit(*[host.url()] * 20)
    await back.run_through()
    back.clock.advance(31)
    gate = Gate(answer(PICTURE))
    host.answers["/"], before = gate, len(host.asked)
    await back.fetches.run_once()
    await gate.reached.wait()
    await back.fetches.run_once()
    assert (len(host.asked), back.fetches.in_flight) == (before + 1, 1)
    gate.opened.set()
    await back.fetches.settle()
    await back.run_through()
    assert all([image.sha256 async for image in back.store.iter_images(job.id)])
