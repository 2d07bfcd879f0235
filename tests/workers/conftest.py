"""A pool on real processes, and somebody who follows its events."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from imgsvc.domain.rendering import (
    DecodeLimits,
    EngineEvent,
    Finished,
    LossCause,
    Lost,
    Outcome,
    RenderTask,
    Started,
    TaskKey,
)
from imgsvc.recipes.model import Recipe
from imgsvc.workers.pool import WorkerPool
from tests.workers import faults

OUTSIDE = ("gate", "diary")
"""Files of a test that its children reach, although they are not in a slot."""

SHARE_BYTES = 64 * 1024**2


class Follower:
    """Submits tasks and keeps every event of the pool."""

    def __init__(self, pool: WorkerPool, inputs: Path) -> None:
        self.pool = pool
        self.events: list[EngineEvent] = []
        self.submitted: list[TaskKey] = []
        self._inputs = inputs
        self._numbers = itertools.count()
        self._changed = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for batch in self.pool.events():
                async with self._changed:
                    self.events.extend(batch)
                    self._changed.notify_all()
        finally:
            async with self._changed:
                self._changed.notify_all()

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until an event makes `met` true; a pool that breaks meanwhile raises."""
        async with self._changed:
            await self._changed.wait_for(lambda: met() or self._reader.done())
        if not met():
            await self._reader
            raise AssertionError("the pool ended before")

    async def end(self) -> None:
        """Until events() has ended; raises what it raised."""
        await self._reader

    def task(self, content: str, memory_bytes: int = SHARE_BYTES) -> RenderTask:
        number = next(self._numbers)
        source = self._inputs / str(number)
        source.write_text(content)
        names = faults.MANY if content.startswith("many") else ("only",)
        variants = [{"name": name, "format": "png"} for name in names]
        recipe = Recipe.model_validate({"variants": variants}).model_dump_json()
        return RenderTask(
            TaskKey("job", number, 1), str(source), "", recipe, DecodeLimits(1, 1), memory_bytes
        )

    async def submit(self, *contents: str, memory_bytes: int = SHARE_BYTES) -> list[TaskKey]:
        """One bundle; returns its keys in order."""
        return await self.submit_tasks([self.task(text, memory_bytes) for text in contents])

    async def begin(self, content: str) -> TaskKey:
        """A bundle of one, which runs."""
        (key,) = await self.submit(content)
        await self.started(key)
        return key

    async def submit_tasks(self, tasks: Sequence[RenderTask]) -> list[TaskKey]:
        keys = [task.key for task in tasks]
        self.submitted += keys
        await self.pool.submit(tasks)
        return keys

    async def finish(self, *contents: str, memory_bytes: int = SHARE_BYTES) -> list[Outcome]:
        """One bundle, all of which is expected to finish."""
        keys = await self.submit(*contents, memory_bytes=memory_bytes)
        await self.ended(keys)
        return [self.finished(key).outcome for key in keys]

    async def ended(self, keys: Sequence[TaskKey]) -> None:
        await self.until(lambda: set(keys) <= set(self.endings()))

    async def started(self, key: TaskKey) -> None:
        await self.until(lambda: Started(key) in self.events)

    def endings(self) -> list[TaskKey]:
        keys = [e.task.key for e in self.events if isinstance(e, Finished)]
        return keys + [e.key for e in self.events if isinstance(e, Lost)]

    def finished(self, key: TaskKey) -> Finished:
        return next(e for e in self.events if isinstance(e, Finished) and e.task.key == key)

    def causes(self) -> dict[TaskKey, LossCause]:
        return {event.key: event.cause for event in self.events if isinstance(event, Lost)}

    def assert_each_ended_once(self) -> None:
        assert Counter(self.endings()) == Counter(self.submitted)
        starts = [event.key for event in self.events if isinstance(event, Started)]
        assert len(starts) == len(set(starts))
        for event in self.events:
            if isinstance(event, Finished) and Started(event.task.key) in self.events:
                assert self.events.index(Started(event.task.key)) < self.events.index(event)

    async def ready(self) -> None:
        """Until every slot is warm."""
        for _ in range(self.pool.size):
            await self.submit("ok")
        await self.ended(self.submitted)


class Pools:
    """Makes pools, and drains them when the test is over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.followers: list[Follower] = []

    async def __call__(self, size: int = 1, **settings: Any) -> Follower:
        inputs = self.folder / f"inputs-{len(self.followers)}"
        inputs.mkdir()
        pool = WorkerPool(
            **{
                "folder": self.folder / f"slots-{len(self.followers)}",
                "size": size,
                "timeout_s": 20.0,
                "memory_bytes": SHARE_BYTES * size,
                "render": faults.render,
                "warm_up": partial(faults.keep_open, *(f"{self.folder}/{n}" for n in OUTSIDE)),
                **settings,
            }
        )
        await pool.start()
        self.followers.append(Follower(pool, inputs))
        return self.followers[-1]


@pytest.fixture
async def open_pool(tmp_path: Path) -> AsyncIterator[Pools]:
    pools = Pools(tmp_path)
    yield pools
    for follower in pools.followers:
        await follower.pool.drain(0)
        await asyncio.wait([follower._reader])
        if follower._reader.exception() is None:
            follower.assert_each_ended_once()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.close()


class Gate:
    """A task with `gate.content` runs until it is let through."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        # Held open for both directions, so that neither side ever waits for the other.
        self._fifo = os.open(path, os.O_RDWR)
        self.content = f"gate {path}"

    def open(self, tasks: int = 1) -> None:
        """Let so many tasks through, now or when they come."""
        os.write(self._fifo, b"." * tasks)

    def close(self) -> None:
        os.close(self._fifo)
