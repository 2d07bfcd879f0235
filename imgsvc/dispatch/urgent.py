"""The urgent lane: single files that somebody waits for, made ahead of all batch work.

They are never stored: whoever waits is told, or goes away. The dispatcher says when the next
one may go to the workers, and passes on what becomes of it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from imgsvc.dispatch.admission import Admission, Allowance
from imgsvc.dispatch.failures import LOSSES, exceeds_memory
from imgsvc.domain.ids import new_id
from imgsvc.domain.rendering import (
    DecodeLimits,
    EngineEvent,
    Finished,
    LossCause,
    Lost,
    NeedsMemory,
    Outcome,
    OutputFacts,
    Rendered,
    RenderFailed,
    RenderTask,
    TaskKey,
    WatermarkFile,
    output_path,
)
from imgsvc.domain.retries import Retry, Trouble, decide_retry
from imgsvc.errors import ImageError, QueueFull, ShuttingDown
from imgsvc.telemetry.logs import get_logger
from imgsvc.workers.engine import Engine, PoolClosed

log = get_logger(__name__)

PLACES_PER_WORKER = 4
"""Tasks that may wait for each worker; who comes later is asked to try again."""

RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class Product:
    """What was made of a file. The outputs stand where `path` says while somebody has it."""

    task: RenderTask
    rendered: Rendered

    def path(self, output: OutputFacts) -> Path:
        return Path(output_path(self.task.output_prefix, output.variant, output.format))


class _Errand:
    """One file, and somebody who waits for what becomes of it.

    key: of the present try. cost_bytes: what its decode is known to cost, None before a worker
    has said so. answer: cancelled when nobody waits any more.
    """

    def __init__(self, input_path: Path, recipe: str) -> None:
        self.input_path = input_path
        self.recipe = recipe
        self.key = TaskKey(new_id(), 0, 1)
        self.cost_bytes: int | None = None
        self.has_crashed = False
        self.answer: asyncio.Future[Product | ImageError | ShuttingDown] = (
            asyncio.get_running_loop().create_future()
        )

    def say(self, answer: Product | ImageError | ShuttingDown) -> bool:
        """Whether somebody still wanted to know."""
        if self.answer.done():
            return False
        self.answer.set_result(answer)
        return True


class UrgentLane:
    """First come, first served; each travels alone.

    wake: told when there is something to hand over. find_watermarks: the files that a recipe
    needs beside the input.
    """

    def __init__(
        self,
        engine: Engine,
        admission: Admission,
        limits: DecodeLimits,
        wake: Callable[[], None],
        find_watermarks: Callable[[str], tuple[WatermarkFile, ...]],
    ) -> None:
        self._engine = engine
        self._admission = admission
        self._limits = limits
        self._wake = wake
        self._find_watermarks = find_watermarks
        self._waiting: deque[_Errand] = deque()
        self._in_flight: dict[TaskKey, tuple[_Errand, Allowance]] = {}
        self._unwanted: dict[TaskKey, RenderTask] = {}
        self._closed = False

    @asynccontextmanager
    async def render(self, input_path: Path, recipe: str) -> AsyncIterator[Product]:
        """Make every variant of a canonical recipe from one file; the outputs are removed when
        the context ends. Cancelled, it leaves nothing behind.

        Raises ImageError when it cannot be made, QueueFull, ShuttingDown.
        """
        self.check_room()
        errand = _Errand(input_path, recipe)
        self._waiting.append(errand)
        self._wake()
        try:
            answer = await errand.answer
            if not isinstance(answer, Product):
                raise answer
            yield answer
        finally:
            await self._conclude(errand)

    def check_room(self) -> None:
        """Raises QueueFull when too many wait already, ShuttingDown."""
        if self._closed:
            raise _shutting_down()
        if len(self._waiting) >= PLACES_PER_WORKER * self._engine.size:
            message = "Too many images wait to be rendered; try again in a moment."
            raise QueueFull(message, retry_after_s=RETRY_AFTER_S)

    @property
    def waits(self) -> bool:
        """Whether there is something to hand over."""
        return bool(self._waiting)

    @property
    def in_flight(self) -> int:
        """Tasks that are with the workers."""
        return len(self._in_flight)

    async def submit_next(self) -> bool:
        """Hand over the first one; False while there is no room or no memory for it. None
        overtakes another, so a heavy one gets its turn.
        """
        errand = self._waiting[0]
        if not self._engine.room(urgent=True) or not self._admission.admits(errand.cost_bytes):
            return False
        self._waiting.popleft()
        allowance = self._admission.begin(errand.cost_bytes)
        self._in_flight[errand.key] = errand, allowance
        task = RenderTask(
            key=errand.key,
            input_path=str(errand.input_path),
            output_prefix="",
            recipe=errand.recipe,
            limits=self._limits,
            memory_bytes=allowance.memory_bytes,
            watermarks=self._find_watermarks(errand.recipe),
            is_heavy=allowance.is_heavy,
        )
        with suppress(PoolClosed):  # answered at the end of the drain
            await self._engine.submit([task], urgent=True)
        return True

    def handle(self, event: EngineEvent) -> bool:
        """Whether the event was about a task of the lane."""
        match event:
            case Finished(task=task, outcome=outcome):
                if errand := self._land(task.key):
                    self._handle_outcome(errand, task, outcome)
                    return True
            case Lost(key=key, cause=cause):
                if errand := self._land(key):
                    self._handle_loss(errand, cause)
                    return True
        return False

    async def clear_away(self) -> None:
        """Remove the outputs that nobody needs any more; may be cancelled and called again."""
        for key, task in list(self._unwanted.items()):
            await self._engine.release(task)
            self._unwanted.pop(key, None)

    def close(self) -> None:
        """Take nothing new and hand nothing over; what is with the workers may end."""
        self._closed = True
        while self._waiting:
            self._waiting.popleft().say(_shutting_down())

    def give_up(self) -> None:
        """Nothing comes from the workers any more."""
        self.close()
        for errand, _ in self._in_flight.values():
            errand.say(_shutting_down())
        self._in_flight.clear()

    async def _conclude(self, errand: _Errand) -> None:
        if errand in self._waiting:
            self._waiting.remove(errand)
            self._wake()
        if errand.answer.cancel() or errand.answer.cancelled():
            return
        answer = errand.answer.result()
        if isinstance(answer, Product):
            self._unwanted[answer.task.key] = answer.task
            try:
                await self.clear_away()
            finally:  # should it be cancelled, the dispatcher goes on with it
                self._wake()

    def _land(self, key: TaskKey) -> _Errand | None:
        if key not in self._in_flight:
            return None
        errand, allowance = self._in_flight.pop(key)
        self._admission.end(allowance)
        return errand

    def _handle_outcome(self, errand: _Errand, task: RenderTask, outcome: Outcome) -> None:
        match outcome:
            case Rendered():
                if not errand.say(Product(task, outcome)):
                    self._unwanted[task.key] = task
            case RenderFailed(failure=failure):
                errand.say(ImageError(failure.code, failure.message))
            case NeedsMemory(cost_bytes=cost) if self._admission.can_ever_fit(cost):
                asks_again = errand.cost_bytes is not None
                errand.cost_bytes = self._admission.budget_bytes if asks_again else cost
                self._return(errand)
            case NeedsMemory(cost_bytes=cost):
                failure = exceeds_memory(cost, self._admission.budget_bytes)
                errand.say(ImageError(failure.code, failure.message))

    def _handle_loss(self, errand: _Errand, cause: LossCause) -> None:
        if cause is LossCause.INNOCENT:
            self._return(errand)
            return
        log.warning("render_lost", cause=str(cause))
        failure = LOSSES[cause]
        trouble = Trouble(failure, errand.key.claim, errand.has_crashed)
        errand.has_crashed |= cause is LossCause.CRASHED
        if isinstance(decide_retry(trouble, random.random()), Retry):  # noqa: S311 - no secret
            self._return(errand)
        else:
            errand.say(ImageError(failure.code, failure.message))

    def _return(self, errand: _Errand) -> None:
        """Do it again, before all others."""
        if self._closed:
            errand.say(_shutting_down())
        elif not errand.answer.done():
            errand.key = replace(errand.key, claim=errand.key.claim + 1)
            self._waiting.appendleft(errand)


def _shutting_down() -> ShuttingDown:
    return ShuttingDown("The server is stopping; send this again in a moment.")
