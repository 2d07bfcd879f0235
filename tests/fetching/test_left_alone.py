"""Hosts that keep failing: what becomes of the images that wait for them."""

from __future__ import annotations

import pytest

from imgsvc.fetching.breakers import FAILURES
from imgsvc.store.deadlines import LongestWaits
from tests.fetching.background import Background
from tests.fetching.hosts import Gate, Host, answer, hang_up
from tests.pictures import make_jpeg

PICTURE = make_jpeg(64, 48)
IMAGES = FAILURES + 20


async def test_a_dead_host_is_left_alone_and_holds_up_nobody(
    back: Background, host: Host, other_host: Host
) -> None:
    host.answers["/"] = hang_up
    other_host.answers["/"] = answer(PICTURE)
    dead = await back.submit(*[host.url()] * IMAGES)
    good = await back.submit(*[other_host.url()] * 40)
    await back.run_through()
    assert all([image.sha256 async for image in back.store.iter_images(good.id)])
    images = [image async for image in back.store.iter_images(dead.id)]
    asked = [image.index for image in images if image.attempts]
    assert FAILURES <= len(asked) <= FAILURES + 3
    told = images[-1].last_error
    assert told is not None
    assert "is left alone until" in told.message
    back.clock.advance(4.9)
    await back.run_once()
    await back.run_through()
    images = [image async for image in back.store.iter_images(dead.id)]
    assert [image.index for image in images if image.attempts] == asked
    back.clock.advance(0.2)
    await back.run_once()
    await back.run_through()
    images = [image async for image in back.store.iter_images(dead.id)]
    assert sum(image.attempts > 0 for image in images) == len(asked) + 1


async def test_who_was_asked_for_has_three_tries_in_time_also_while_the_host_is_left_alone(
    back: Background, host: Host
) -> None:
    host.answers["/"] = answer(status=503)
    job = await back.submit(*[host.url()] * IMAGES)
    for passed_s in (0, 1.3, 5.1):
        back.clock.advance(passed_s)
        await back.run_once()
        await back.run_through()
    images = [image async for image in back.store.iter_images(job.id)]
    failed = [image for image in images if image.state == "failed"]
    assert len(failed) >= FAILURES
    assert {image.attempts for image in failed} == {3}
    assert {image.error.message for image in failed if image.error} == {
        "The host answered with status 503."
    }


async def test_a_host_that_is_left_alone_costs_no_attempts(back: Background, host: Host) -> None:
    host.answers["/"] = answer(status=503)
    job = await back.submit(*[host.url()] * IMAGES)
    await back.run_through()
    back.clock.advance(5.1)
    await back.run_once()  # one image tries the host, in vain
    await back.run_through()
    host.answers["/"] = answer(PICTURE)
    back.clock.advance(10.1)
    await back.run_once()
    await back.run_through()
    images = [image async for image in back.store.iter_images(job.id)]
    assert all(image.sha256 for image in images)
    assert max(image.attempts for image in images) <= 3


async def test_a_host_that_answers_while_it_is_left_alone_is_asked_for_all_again_at_once(
    back: Background, host: Host
) -> None:
    host.answers["/"] = answer(status=503)
    job = await back.submit(*[host.url()] * IMAGES)
    await back.run_through()
    host.answers["/"] = answer(PICTURE)
    back.clock.advance(1.3)  # those that were asked for already have their second try
    await back.run_once()
    await back.run_once()
    await back.run_through()
    images = [image async for image in back.store.iter_images(job.id)]
    assert all(image.sha256 for image in images)


async def test_a_host_that_does_not_come_back_is_not_waited_for_for_ever(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.answers["/"] = answer(status=503)
    job = await back.submit(*[host.url()] * IMAGES)
    passed_s = 0
    while not (await back.store.job(job.id)).state.is_final:
        await back.run_once()
        await back.run_through()
        back.clock.advance(5)
        passed_s += 5
    assert 120 <= passed_s <= 240
    images = [image async for image in back.store.iter_images(job.id)]
    assert sum(image.attempts for image in images) == len(host.asked)
    assert len(host.asked) <= 3 * (FAILURES + 3 + 4)
    assert images[-1].attempts == 0
    assert images[-1].error is not None
    assert "is left alone until" in images[-1].error.message
    submitted_ms = back.clock()
    monkeypatch.setattr("imgsvc.fetching.fetches.created_ms", lambda _: submitted_ms)
    later = await back.submit(host.url())
    await back.run_once()
    assert (await back.image(later)).state == "pending"


async def test_a_clock_that_is_set_back_lets_nobody_wait_for_a_dead_host_for_longer(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted_ms = back.clock()
    monkeypatch.setattr("imgsvc.fetching.fetches.created_ms", lambda _: submitted_ms)
    host.answers["/"] = answer(status=503)
    job = await back.submit(*[host.url()] * IMAGES)
    await back.run_once()
    await back.run_through()
    back.clock.advance(-3600)
    longest = LongestWaits(tries=30_000, fetches=300_000, deliveries=0, keys=0)
    await back.store.move_deadlines(-3_600_000, back.clock(), longest)
    back.fetches.clock_was_set(-3_600_000)
    passed_s = 0
    while passed_s <= 240 and not (await back.store.job(job.id)).state.is_final:
        await back.run_once()
        await back.run_through()
        back.clock.advance(5)
        passed_s += 5
    assert 120 <= passed_s <= 240


async def test_a_host_whose_last_try_failed_has_one_place_until_it_answers(
    back: Background, host: Host
) -> None:
    first, second = Gate(answer(PICTURE)), Gate(answer(PICTURE))
    host.answers["/"] = [answer(status=503), first, second]
    await back.submit(host.url())
    await back.run_once()
    await back.submit(*[host.url()] * 8)
    await back.fetches.run_once()
    assert back.fetches.in_flight == 1
    first.opened.set()
    await back.fetches.settle()
    await back.fetches.run_once()
    assert back.fetches.in_flight == 4
    second.opened.set()
    await back.fetches.settle()


async def test_a_host_on_trial_is_asked_for_one_image_first(back: Background, host: Host) -> None:
    host.answers["/"] = answer(status=503)
    job = await back.submit(*[host.url()] * IMAGES)
    await back.run_through()
    back.clock.advance(5.1)
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
