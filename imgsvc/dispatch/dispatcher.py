"""The dispatcher: keeps the workers busy with the right images, and reads their results.

It holds only what can be rebuilt from the store: whose turn it is, and what is in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.dispatch.admission import Admission
from imgsvc.dispatch.bundles import Pace, split_bundles
from imgsvc.dispatch.recorder import Made, Recorder, Refused, Returned
from imgsvc.dispatch.turns import Turns
from imgsvc.domain.image import Image, unquote_path
from imgsvc.domain.rendering import (
    DecodeLimits,
    EngineEvent,
    Failure,
    Finished,
    LossCause,
    Lost,
    NeedsMemory,
    Rendered,
    RenderFailed,
    RenderTask,
    TaskKey,
)
from imgsvc.domain.retries import Retry, decide_retry
from imgsvc.domain.states import Priority
from imgsvc.domain.times import now_ms
from imgsvc.errors import ImageErrorCode, StorageFull
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger
from imgsvc.workers.engine import Engine, PoolClosed

log = get_logger(__name__)

_LOSSES = {
    LossCause.CRASHED: Failure(
        ImageErrorCode.WORKER_CRASHED, "The worker process died while it worked on this image."
    ),
    LossCause.TIMEOUT: Failure(
        ImageErrorCode.TIMEOUT, "The image was not finished before the deadline."
    ),
    LossCause.OUT_OF_MEMORY: Failure(
        ImageErrorCode.OUT_OF_MEMORY, "The image needs more memory than a worker may use."
    ),
}


@dataclass(slots=True)
class _Waiting:
    """Images that are claimed but not with a worker yet, and their job's recipe."""

    images: list[Image]
    recipe: str


class Dispatcher:
    """Moves pending images to the engine, fairly, and what comes back to the recorder."""

    def __init__(
        self,
        store: Store,
        blobs: BlobStore,
        engine: Engine,
        *,
        limits: DecodeLimits,
        memory_bytes: int,
        keep_inputs: bool,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._engine = engine
        self._limits = limits
        self._admission = Admission(memory_bytes, engine.share_bytes)
        self._turns = Turns()
        self._pace = Pace()
        self._waiting: list[_Waiting] = []
        self._in_flight: dict[TaskKey, Image] = {}
        self._priorities: dict[str, Priority] = {}
        self._recipes: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._timers: set[asyncio.TimerHandle] = set()
        self._stopping = False
        self.recorder = Recorder(store, blobs, keep_inputs=keep_inputs, on_returned=self._take_back)

    async def load(self) -> None:
        """Learn from the store which jobs have pending images."""
        for job_id, priority, not_before in await self._store.jobs_with_pending():
            job = await self._store.job(job_id)
            self.job_has_work(job_id, priority, job.recipe)
            if not_before is not None:
                self._wake_job_later(job_id, (not_before - now_ms()) / 1000)

    def job_has_work(self, job_id: str, priority: Priority, recipe: str) -> None:
        """The job has pending images, committed."""
        self._priorities[job_id] = priority
        self._recipes[job_id] = recipe
        self._turns.add(job_id, priority)
        self._wake.set()

    def job_is_gone(self, job_id: str) -> None:
        """The job is final or deleted; forget what was kept for it."""
        self._priorities.pop(job_id, None)
        self._recipes.pop(job_id, None)
        self._pace.forget(job_id)

    async def run(self) -> None:
        """Dispatch whenever there is room and work."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.run_once()

    async def run_once(self) -> None:
        """Hand out images until the engine is full or nothing is left to hand out."""
        while not self._stopping:
            await self._submit_waiting()
            if self._waiting or self._engine.room() == 0 or not self._turns:
                return
            try:
                await self._claim(self._engine.room())
            except StorageFull:
                self._wake_later(1.0)
                return

    async def read_events(self) -> None:
        """Take what the engine reports, until it is drained. Raises PoolBroken."""
        async for events in self._engine.events():
            for event in events:
                self._handle(event)
            self._wake.set()

    async def stop(self, grace_s: float) -> None:
        """Claim no more, let what runs finish within the grace, make results durable."""
        self._stopping = True
        for timer in self._timers:
            timer.cancel()
        await self._engine.drain(grace_s)

    async def give_back(self) -> None:
        """After the engine has ended: return what never reached it, and flush."""
        for waiting in self._waiting:
            for image in waiting.images:
                self.recorder.add(Returned(image, counts=False))
        for image in self._in_flight.values():
            self.recorder.add(Returned(image, counts=False))
        self._waiting.clear()
        self._in_flight.clear()
        await self.recorder.flush()

    @property
    def in_flight(self) -> int:
        """Images that are with the workers."""
        return len(self._in_flight)

    async def _claim(self, room: int) -> None:
        """Claim one bundle for each place, turn by turn."""
        picks: dict[str, int] = {}
        stamps: dict[str, tuple[Priority, int]] = {}
        sizes: dict[str, int] = {}
        for _ in range(room):
            turn = self._turns.take()
            if turn is None:
                break
            job_id, priority, stamp = turn
            stamps[job_id] = (priority, stamp)
            sizes[job_id] = self._pace.bundle_size(job_id)
            picks[job_id] = picks.get(job_id, 0) + sizes[job_id]
        claimed: dict[str, list[Image]] = {}
        for image in await self._store.claim_images(list(picks.items()), now_ms()):
            claimed.setdefault(image.job_id, []).append(image)
        for job_id, wanted in picks.items():
            images = claimed.get(job_id, [])
            if len(images) < wanted:
                self._turns.exhaust(job_id, *stamps[job_id])
            recipe = self._recipes.get(job_id)
            if recipe is None:  # deleted meanwhile; there is nothing to give back to
                continue
            for bundle in split_bundles(images, sizes[job_id]):
                self._waiting.append(_Waiting(bundle, recipe))

    async def _submit_waiting(self) -> None:
        """Submit claimed bundles as far as room and memory go; heavy ones keep their place."""
        while self._waiting and self._engine.room() and not self._stopping:
            waiting = self._waiting[0]
            cost = waiting.images[0].memory_bytes
            if not self._admits(cost):
                return
            self._waiting.pop(0)
            self._admission.heavy_waits = False
            await self._submit(waiting, cost)

    def _admits(self, cost_bytes: int | None) -> bool:
        if cost_bytes is not None and self._admission.is_heavy(cost_bytes):
            self._admission.heavy_waits = not self._admission.admits_heavy(cost_bytes)
            return not self._admission.heavy_waits
        return self._admission.admits_ordinary()

    async def _submit(self, waiting: _Waiting, cost_bytes: int | None) -> None:
        tasks = []
        for image in waiting.images:
            self._in_flight[image.key] = image
            allowance = self._admission.begin(cost_bytes)
            tasks.append(self._task(image, waiting.recipe, allowance))
        with suppress(PoolClosed):  # what is in flight is given back at the end of the drain
            await self._engine.submit(tasks)

    def _task(self, image: Image, recipe: str, memory_bytes: int) -> RenderTask:
        path = (
            unquote_path(image.path)
            if image.path is not None
            else str(self._blobs.input_path(image.job_id, image.id))
        )
        return RenderTask(
            key=image.key,
            input_path=path,
            output_prefix="",
            recipe=recipe,
            limits=self._limits,
            memory_bytes=memory_bytes,
        )

    def _handle(self, event: EngineEvent) -> None:
        match event:
            case Finished(task=task, outcome=outcome):
                if image := self._land(task.key):
                    self._handle_outcome(image, task, outcome)
            case Lost(key=key, cause=cause):
                if image := self._land(key):
                    self._handle_loss(image, cause)

    def _land(self, key: TaskKey) -> Image | None:
        image = self._in_flight.pop(key, None)
        if image is not None:
            self._admission.end(image.memory_bytes)
        return image

    def _handle_outcome(
        self, image: Image, task: RenderTask, outcome: Rendered | RenderFailed | NeedsMemory
    ) -> None:
        match outcome:
            case Rendered():
                self._pace.learn(image.job_id, outcome.duration_ms)
                self.recorder.add(Made(image, task, outcome))
            case RenderFailed(failure=failure) if failure.code is ImageErrorCode.STORAGE_FULL:
                self.recorder.add(Returned(image, False, failure, delay_s=1.0))
            case RenderFailed(failure=failure):
                self._fail(image, failure, outcome)
            case NeedsMemory(cost_bytes=cost) if self._admission.can_ever_fit(cost):
                self.recorder.add(Returned(image, counts=False, memory_bytes=cost))
            case NeedsMemory(cost_bytes=cost):
                budget = self._admission.budget_bytes >> 20
                message = f"Decoding needs {cost >> 20} MiB; all workers together have {budget}."
                self._fail(image, Failure(ImageErrorCode.OUT_OF_MEMORY, message))

    def _handle_loss(self, image: Image, cause: LossCause) -> None:
        if cause is LossCause.INNOCENT:
            self.recorder.add(Returned(image, counts=False))
            return
        log.warning("image_lost", job_id=image.job_id, index=image.index, cause=str(cause))
        self._fail(image, _LOSSES[cause])

    def _fail(self, image: Image, failure: Failure, outcome: RenderFailed | None = None) -> None:
        decision = decide_retry(failure, image.last_error)
        if isinstance(decision, Retry):
            self.recorder.add(
                Returned(image, counts=True, failure=failure, delay_s=decision.delay_s)
            )
        elif outcome is None:
            self.recorder.add(Refused(image, failure))
        else:
            self.recorder.add(Refused(image, failure, outcome.input, outcome.duration_ms))

    def _take_back(self, returned: Sequence[Returned]) -> None:
        """Images are pending again, committed: their jobs have work."""
        for record in returned:
            job_id = record.image.job_id
            if record.delay_s:
                self._wake_job_later(job_id, record.delay_s)
            elif job_id in self._recipes:
                self.job_has_work(job_id, self._priorities[job_id], self._recipes[job_id])

    def _wake_job_later(self, job_id: str, delay_s: float) -> None:
        def wake() -> None:
            self._timers.discard(timer)
            if job_id in self._recipes:
                self.job_has_work(job_id, self._priorities[job_id], self._recipes[job_id])

        timer = asyncio.get_running_loop().call_later(max(delay_s, 0.0), wake)
        self._timers.add(timer)

    def _wake_later(self, delay_s: float) -> None:
        def wake() -> None:
            self._timers.discard(timer)
            self._wake.set()

        timer = asyncio.get_running_loop().call_later(delay_s, wake)
        self._timers.add(timer)
