"""How many workers there are: as many as asked for, or as the work needs.

With limits set, the pool doubles while work waits and every worker is busy, and shrinks to
what was needed when some have been idle for a while.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic

from imgsvc.dispatch.dispatcher import Dispatcher
from imgsvc.domain.formats import Formats
from imgsvc.errors import Fault, InvalidRequest, ShuttingDown
from imgsvc.telemetry.logs import get_logger
from imgsvc.workers.engine import Engine, PoolBroken, PoolClosed, WorkerState

log = get_logger(__name__)

MAX_SIZE = 1024
MEMORY_OF_A_WORKER = 32 << 20
"""Bytes of the budget without which another worker is of no use: it takes about as much before it
has a picture.
"""

LOOK_EVERY_S = 0.5
SHRINK_AFTER_S = 30.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which sizes the pool scales; the same twice fixes it."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Need:
    """What the pool has to do. peak_busy: most workers busy at once within `idle_s`, the time
    since when no work waits and not all are busy.
    """

    size: int
    work_waits: bool
    idle_s: float
    peak_busy: int


@dataclass(frozen=True, slots=True)
class WorkforceFacts:
    """Workers by what they do. least, most: None when the size is fixed."""

    size: int
    least: int | None
    most: int | None
    busy: int
    idle: int
    starting: int
    leaving: int


def decide_size(need: Need, bounds: Bounds) -> int:
    size = need.size
    if need.work_waits:
        size *= 2
    elif need.idle_s >= SHRINK_AFTER_S:
        size = need.peak_busy
    return max(bounds.least, min(size, bounds.most))


class Workforce:
    """bounds: None fixes the size until somebody asks for another one, within what `memory_bytes`,
    the budget of all decodes, is enough for.
    """

    def __init__(
        self, engine: Engine, dispatcher: Dispatcher, bounds: Bounds | None, memory_bytes: int
    ) -> None:
        self._engine = engine
        self._dispatcher = dispatcher
        self._bounds = bounds
        self._limits = bounds or Bounds(
            1, max(engine.size, min(MAX_SIZE, memory_bytes // MEMORY_OF_A_WORKER))
        )
        self._idle_since_s: float | None = None
        self._peak_busy = 0

    def facts(self) -> WorkforceFacts:
        states = [worker.state for worker in self._engine.workers()]
        return WorkforceFacts(
            size=self._engine.size,
            least=self._bounds.least if self._bounds else None,
            most=self._bounds.most if self._bounds else None,
            busy=states.count(WorkerState.BUSY),
            idle=states.count(WorkerState.IDLE),
            starting=states.count(WorkerState.STARTING),
            leaving=states.count(WorkerState.LEAVING),
        )

    async def formats(self) -> Formats:
        """What the workers read and write. Raises ShuttingDown."""
        try:
            return await self._engine.formats()
        except (PoolBroken, PoolClosed) as exc:
            raise ShuttingDown("The server is stopping.") from exc

    async def resize(self, size: int) -> None:
        """Grow at once; shrink by workers that leave when they have finished what they have.

        Raises InvalidRequest outside the bounds, and ShuttingDown.
        """
        least, most = self._limits.least, self._limits.most
        if not least <= size <= most:
            raise InvalidRequest(
                f"The number of workers must be from {least} to {most}.",
                (Fault("/size", f"from {least} to {most}"),),
            )
        await self._resize(size)

    async def run(self) -> None:
        """Scale until cancelled; nothing to do when the size is fixed."""
        while self._bounds is not None:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.run_once(monotonic())

    async def run_once(self, now_s: float) -> None:
        """Look at what there is to do, and scale. now_s: of a clock that never goes back."""
        if self._bounds is None:
            return
        need = self._look(now_s)
        size = decide_size(need, self._bounds)
        if size != need.size:
            await self._resize(size)

    def _look(self, now_s: float) -> Need:
        facts = self.facts()
        work_waits = self._dispatcher.work_waits
        if work_waits or facts.busy >= facts.size:
            self._idle_since_s = None
        elif self._idle_since_s is None:
            self._idle_since_s, self._peak_busy = now_s, 0
        self._peak_busy = max(self._peak_busy, facts.busy)
        idle_s = 0.0 if self._idle_since_s is None else now_s - self._idle_since_s
        return Need(facts.size, work_waits, idle_s, self._peak_busy)

    async def _resize(self, size: int) -> None:
        log.info("workers_resized", before=self._engine.size, after=size)
        self._idle_since_s = None
        try:
            await self._engine.resize(size)
        except PoolClosed as exc:
            raise ShuttingDown("The server is stopping.") from exc
        self._dispatcher.wake()
