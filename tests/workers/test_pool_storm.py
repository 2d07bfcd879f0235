from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

from imgsvc.domain.rendering import Finished, LossCause, RenderTask, TaskKey
from imgsvc.workers.engine import WorkerState
from tests.workers.conftest import Follower, Pools

TASKS = 300
VICTIMS = 5
"""Of the tasks the first: each is killed while its child is at it."""
KILLS = 15
"""Besides, at most, and at any time: at a task, or between two, as it happens."""


async def feed(pool: Follower, tasks: list[RenderTask], chance: random.Random) -> None:
    """Submit all, and again with the next claim whatever is lost, until each has finished."""
    by_index = {task.key.index: task for task in tasks}
    waiting = deque(tasks)
    read = done = 0

    def news() -> bool:
        return len(pool.events) > read

    while done < len(tasks):
        while waiting and pool.pool.room():
            bundle = [waiting.popleft() for _ in range(min(chance.randint(1, 6), len(waiting)))]
            await pool.submit_tasks(bundle)
        await pool.until(news)
        for event in pool.events[read:]:
            if isinstance(event, Finished):
                done += 1
            elif event.key in pool.causes():
                lost = by_index[event.key.index]
                if event.key.claim == lost.key.claim:
                    again = replace(lost, key=replace(lost.key, claim=lost.key.claim + 1))
                    by_index[event.key.index] = again
                    waiting.append(again)
        read = len(pool.events)


async def kill_now_and_then(pool: Follower, chance: random.Random, killed: list[int]) -> None:
    """Only children that have work, as far as is known, and that are warm: three deaths in a row
    of one that starts break the pool. Their pids go to `killed`.
    """

    def busy_pids() -> list[int]:
        return [w.pid for w in pool.pool.workers() if w.pid and w.state is WorkerState.BUSY]

    for _ in range(KILLS):
        wanted = len(pool.events) + chance.randint(1, 20)
        await pool.until(lambda n=wanted: len(pool.events) >= n and bool(busy_pids()))  # type: ignore[misc]
        pid = chance.choice(busy_pids())
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)


@contextlib.asynccontextmanager
async def killing_now_and_then(pool: Follower, chance: random.Random) -> AsyncIterator[list[int]]:
    killed: list[int] = []
    killing = asyncio.create_task(kill_now_and_then(pool, chance, killed))
    try:
        yield killed
    finally:
        killing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await killing


@contextlib.contextmanager
def killing_victims(fifo: Path) -> Iterator[None]:
    """Whatever else their children hold, another victim it may be, is lost without blame."""
    os.mkfifo(fifo)
    descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)

    def kill() -> None:
        for pid in os.read(descriptor, 4096).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)

    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, kill)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def test_in_a_storm_of_kills_each_task_ends_once_and_blame_is_right(
    open_pool: Pools, tmp_path: Path
) -> None:
    chance = random.Random(20261120)  # noqa: S311 - kills need no secrecy
    diary = tmp_path / "diary"
    diary.touch()
    fifo = tmp_path / "gate"
    with killing_victims(fifo):
        pool = await open_pool(size=4)
        victims = [pool.task(f"victim {diary} {fifo}") for _ in range(VICTIMS)]
        tasks = [*victims, *(pool.task(f"diary {diary}") for _ in range(TASKS))]
        async with killing_now_and_then(pool, chance) as killed:
            await feed(pool, tasks, chance)

    assert killed
    written = frozenset(diary.read_text().splitlines())

    def wrote(key: TaskKey, what: str) -> bool:
        return f"{key.index}-{key.claim}.{what}" in written

    pool.assert_each_ended_once()
    causes = pool.causes()
    assert set(causes.values()) <= {LossCause.CRASHED, LossCause.INNOCENT}
    crashed = [key for key, cause in causes.items() if cause is LossCause.CRASHED]
    innocent = [key for key, cause in causes.items() if cause is LossCause.INNOCENT]
    assert {task.key.index for task in victims} <= {key.index for key in crashed}
    assert len(crashed) <= VICTIMS + KILLS
    assert all(wrote(key, "done") for key in innocent if wrote(key, "begun"))
    assert sum(worker.restarts for worker in pool.pool.workers()) <= VICTIMS + KILLS
