"""An urgent bundle finds a place where all are taken, and what has not begun makes way."""

from __future__ import annotations

from dataclasses import replace

from imgsvc.domain.rendering import Finished, LossCause, RenderTask, TaskKey
from imgsvc.domain.retries import MAX_INNOCENT
from tests.workers.conftest import Follower, Gate, Pools


async def _submit_urgent(pool: Follower, content: str) -> TaskKey:
    task = pool.task(content)
    pool.submitted.append(task.key)
    await pool.pool.submit([task], urgent=True)
    return task.key


def _as_claimed(task: RenderTask, claim: int) -> RenderTask:
    return replace(task, key=replace(task.key, claim=claim))


def _finished(pool: Follower) -> list[TaskKey]:
    return [event.task.key for event in pool.events if isinstance(event, Finished)]


async def test_a_slot_has_a_place_more_for_an_urgent_bundle(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool()
    assert (pool.pool.room(), pool.pool.room(urgent=True)) == (2, 2)
    keys = await pool.submit(gate.content)
    keys += await pool.submit("ok")
    assert (pool.pool.room(), pool.pool.room(urgent=True)) == (0, 1)
    keys.append(await _submit_urgent(pool, "ok"))
    assert (pool.pool.room(), pool.pool.room(urgent=True)) == (0, 0)
    gate.open()
    await pool.ended(keys)
    assert (pool.pool.room(), pool.pool.room(urgent=True)) == (2, 2)


async def test_an_urgent_bundle_runs_next_and_what_has_not_begun_is_given_back(
    open_pool: Pools, gate: Gate
) -> None:
    pool = await open_pool()
    running, neighbour = await pool.submit(gate.content, "ok")
    await pool.started(running)
    (queued,) = await pool.submit("ok")
    urgent = await _submit_urgent(pool, "ok")
    gate.open()
    await pool.ended([running, neighbour, queued, urgent])
    assert _finished(pool) == [running, urgent]
    assert pool.causes() == {neighbour: LossCause.INNOCENT, queued: LossCause.INNOCENT}


async def test_who_has_made_way_a_few_times_has_its_turn(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool()
    running = await pool.begin(gate.content)
    (weary,) = await pool.submit_tasks([_as_claimed(pool.task("ok"), MAX_INNOCENT + 1)])
    urgent = await _submit_urgent(pool, "ok")
    gate.open()
    await pool.ended([running, weary, urgent])
    assert _finished(pool) == [running, weary, urgent]


async def test_a_worker_puts_an_image_off_for_others_a_few_times_and_no_more(
    open_pool: Pools, gate: Gate
) -> None:
    pool = await open_pool()
    for claim in (MAX_INNOCENT, MAX_INNOCENT + 1):
        (running,) = await pool.submit(gate.content.replace("gate", "put-off", 1))
        await pool.started(running)
        (shirked,) = await pool.submit_tasks([_as_claimed(pool.task("ok"), claim)])
        urgent = await _submit_urgent(pool, "ok")
        gate.open()
        await pool.ended([running, shirked, urgent])
        assert pool.causes()[shirked] is (
            LossCause.INNOCENT if claim <= MAX_INNOCENT else LossCause.CRASHED
        )


async def test_urgent_bundles_make_no_way_for_each_other(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool()
    first = await _submit_urgent(pool, gate.content)
    await pool.started(first)
    second = await _submit_urgent(pool, "ok")
    assert pool.pool.room(urgent=True) == 0
    gate.open()
    await pool.ended([first, second])
    assert _finished(pool) == [first, second]


async def test_after_an_urgent_bundle_the_ordinary_ones_go_on(open_pool: Pools) -> None:
    pool = await open_pool()
    keys = [await _submit_urgent(pool, "ok")]
    keys += await pool.submit("ok", "ok")
    await pool.ended(keys)
    assert _finished(pool) == keys


async def test_an_urgent_bundle_goes_where_the_least_stands_before_it(
    open_pool: Pools, gate: Gate
) -> None:
    pool = await open_pool(size=2)
    await pool.ready()
    busy = await pool.submit(gate.content)
    await pool.started(busy[0])
    urgent = await _submit_urgent(pool, "ok")
    await pool.ended([urgent])
    assert busy[0] not in pool.endings()
    gate.open()
    await pool.ended(busy)


async def test_nothing_of_what_made_way_stays_in_the_slot(open_pool: Pools, gate: Gate) -> None:
    pool = await open_pool()
    running = await pool.begin(gate.content)
    queued = await pool.submit("ok", "ok")
    urgent = await _submit_urgent(pool, "ok")
    gate.open()
    await pool.ended([running, *queued, urgent])
    names = [path.name for path in pool.pool._folder.glob("*/*")]
    starts = tuple(f"job-{key.index}-" for key in queued)
    assert [name for name in names if name.startswith(starts)] == []
