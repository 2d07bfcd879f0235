"""Hosts that keep failing: what becomes of the images that wait for them."""

from __future__ import annotations

import itertools

import pytest

from imgsvc.blobs.stage import Stage
from imgsvc.domain.ids import earliest_id, new_id
from imgsvc.errors import StorageFull
from imgsvc.fetching.breakers import FAILURES, Breakers
from imgsvc.store.deadlines import LongestWaits
from imgsvc.store.store import Store
from tests.fetching.background import Background
from tests.fetching.hosts import Gate, Host, answer, hang_up, redirect
from tests.pictures import make_jpeg

PICTURE = make_jpeg(64, 48)
IMAGES = FAILURES + 20


def give_ids_of(monkeypatch: pytest.MonkeyPatch, *times_ms: int) -> None:
    """Images are named as at those times, again and again."""
    times = itertools.cycle(times_ms)

    def id_of_then() -> str:
        return earliest_id(next(times))[:13] + new_id()[13:]

    monkeypatch.setattr("imgsvc.fetching.url_images.new_id", id_of_then)


def leave_alone(back: Background, host: Host) -> Breakers:
    breakers = back.fetches._breakers
    for _ in range(FAILURES):
        breakers.note_failure(host.name)
    return breakers


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


async def test_who_waits_for_a_host_from_the_start_never_begins_until_it_is_asked_again(
    back: Background, host: Host
) -> None:
    """Many at once begin to wait: each for itself, ten thousand kept the database busy."""
    leave_alone(back, host)
    host.answers["/"] = answer(PICTURE)
    job = await back.submit(*[host.url()] * IMAGES)
    await back.run_through()
    images = [image async for image in back.store.iter_images(job.id)]
    assert {(image.state.value, image.claim) for image in images} == {("pending", 0)}
    assert {image.last_error is not None for image in images} == {True}
    back.clock.advance(5.1)
    await back.run_once()
    await back.run_through()
    images = [image async for image in back.store.iter_images(job.id)]
    assert {(bool(image.sha256), image.claim) for image in images} == {(True, 1)}


async def test_who_is_put_back_while_the_host_answers_is_asked_for_at_once_as_well(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had begun when the host was left alone."""
    discard = Stage.discard
    breakers = leave_alone(back, host)
    monkeypatch.setattr(back.fetches, "_delay", lambda _: None)
    host.answers["/"] = answer(PICTURE)

    async def discard_while_it_answers(stage: Stage) -> None:
        await discard(stage)
        breakers.note_answer(host.name)
        await back.fetches._ripen()

    monkeypatch.setattr(Stage, "discard", discard_while_it_answers)
    job = await back.submit(host.url())
    await back.run_once()
    assert (await back.image(job)).last_error is not None
    await back.run_once()
    assert (await back.image(job)).sha256


async def test_those_who_wait_for_a_host_that_is_back_are_let_go_once_the_disk_has_room(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise StorageFull("full")

    breakers = leave_alone(back, host)
    host.answers["/"] = answer(PICTURE)
    job = await back.submit(host.url())
    await back.run_once()
    breakers.note_answer(host.name)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "recall_fetches", refuse)
        await back.run_once()
    await back.run_once()
    assert (await back.image(job)).sha256


async def test_a_host_that_does_not_come_back_is_not_waited_for_for_ever(
    back: Background, host: Host
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


async def test_who_waits_for_a_host_that_is_left_alone_for_long_never_begins_either(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    breakers = leave_alone(back, host)
    for _ in range(40):
        back.clock.advance(5)
        breakers.note_failure(host.name)
    now_ms = back.clock()
    give_ids_of(monkeypatch, now_ms - 119_999, now_ms - 120_000, now_ms, now_ms + 1)
    job = await back.submit(*[host.url()] * 4)
    await back.run_once()
    images = [image async for image in back.store.iter_images(job.id)]
    assert [(image.state.value, image.claim) for image in images] == [
        ("pending", 0), ("failed", 0), ("pending", 0), ("pending", 1),
    ]  # fmt: skip
    told = [image.error or image.last_error for image in images]
    assert all(failure and "is left alone until" in failure.message for failure in told)
    kept = await back.store.job(job.id)
    assert (kept.failed, kept.unfetched, kept.errors) == (1, 3, {"fetch_failed": 1})


@pytest.mark.parametrize(("is_back", "later_s"), [(True, 5), (False, 5), (False, 400)])
async def test_whoever_tries_by_hand_what_a_host_that_is_left_alone_for_long_owes_has_it_asked(
    back: Background,
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    is_back: bool,
    later_s: int,
) -> None:
    breakers = leave_alone(back, host)
    for _ in range(40):
        back.clock.advance(5)
        breakers.note_failure(host.name)
    give_ids_of(monkeypatch, back.clock() - 150_000)
    job = await back.submit(*[host.url()] * IMAGES)
    await back.run_through()
    assert await back.states(job) == ["failed"] * IMAGES
    host.answers["/"] = answer(PICTURE) if is_back else hang_up
    back.clock.advance(later_s)  # of a pause of five minutes
    back.fetches.end_pauses([host.name])
    await back.store.retry_images(job.id, codes=None, indexes=None)
    await back.run_through()
    images = [image async for image in back.store.iter_images(job.id)]
    assert [bool(image.sha256) for image in images] == [is_back] * IMAGES
    assert {image.error for image in images} == {None}
    assert is_back or sum(image.attempts for image in images) == 1


async def test_whoever_is_tried_by_hand_asks_the_host_of_its_url_and_the_one_it_was_led_to(
    back: Background, host: Host, other_host: Host
) -> None:
    host.answers["/"] = redirect(other_host.url("/gone"))
    job = await back.submit(host.url())
    await back.run_through()
    assert await back.states(job) == ["failed"]
    assert await back.store.hosts_to_retry(job.id) == {host.name, other_host.name}


async def test_a_clock_that_is_set_back_lets_nobody_wait_for_a_dead_host_for_longer(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_ids_of(monkeypatch, back.clock())
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


async def test_what_is_submitted_after_a_clock_was_set_back_waits_its_two_minutes(
    back: Background, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its id says another time: ids go on from the latest that there was."""
    give_ids_of(monkeypatch, back.clock())
    back.clock.advance(-3600)
    back.fetches.clock_was_set(-3_600_000)
    breakers = leave_alone(back, host)
    for _ in range(40):
        back.clock.advance(5)
        breakers.note_failure(host.name)
    job = await back.submit(host.url())
    await back.run_once()
    assert (await back.image(job)).state == "pending"


async def test_who_is_put_back_while_the_clock_is_set_back_waits_no_hour(
    back: Background, host: Host
) -> None:
    """The clock goes by what it was set to a moment before the breakers hear of it."""
    leave_alone(back, host)
    host.answers["/"] = answer(PICTURE)
    job = await back.submit(host.url())
    back.clock.advance(-3600)
    await back.run_once()
    back.fetches.clock_was_set(-3_600_000)
    back.clock.advance(5.1)
    await back.run_once()
    assert (await back.image(job)).sha256


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
