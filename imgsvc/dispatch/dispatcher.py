"""The dispatcher: keeps the workers busy with the right images, and reads their results.

It holds only what can be rebuilt from the store: whose turn it is, and what is in flight.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.dispatch.admission import Admission, Allowance
from imgsvc.dispatch.bundles import Pace, split_bundles
from imgsvc.dispatch.failures import LOSSES, exceeds_memory
from imgsvc.dispatch.pieces import Piece, pieces_of
from imgsvc.dispatch.recorder import Made, Recorder, Refused, Returned
from imgsvc.dispatch.reuse import Reuse
from imgsvc.dispatch.suspects import Suspects
from imgsvc.dispatch.turns import Turns
from imgsvc.dispatch.urgent import UrgentLane
from imgsvc.dispatch.watermarks import find_watermarks
from imgsvc.domain.image import Image, unquote_path
from imgsvc.domain.job import Job, NewJob
from imgsvc.domain.rendering import (
    DecodeLimits,
    EngineEvent,
    Failure,
    Finished,
    InputFacts,
    LossCause,
    Lost,
    NeedsMemory,
    Rendered,
    RenderFailed,
    RenderTask,
    TaskKey,
)
from imgsvc.domain.retries import STORAGE_DELAY_S, Retry, Trouble, decide_retry
from imgsvc.domain.states import Priority
from imgsvc.domain.times import now_ms
from imgsvc.errors import StorageFull
from imgsvc.store.full_disk import FullDisk
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger
from imgsvc.workers.engine import Engine, PoolClosed

log = get_logger(__name__)

MAX_BACKLOG = 500
"""Records that may wait for the disk before more images are claimed."""

MAX_OVERTAKEN = 8
"""Urgent tasks that may pass a bundle while it waits for memory; then it has its turn."""


class Dispatcher:
    """Moves pending images to the engine, fairly, and what comes back to the recorder.

    urgent: single files that go before all images of jobs.
    """

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
        self._admission = Admission(memory_bytes, lambda: engine.share_bytes)
        self._turns = Turns()
        self._pace = Pace()
        self._reuse = Reuse(store, blobs)
        self._waiting: list[list[Piece]] = []
        self._followers: list[Piece] = []
        self._in_flight: dict[TaskKey, tuple[Piece, Allowance]] = {}
        self._suspects = Suspects(store, self._admission, engine)
        self._jobs: dict[str, Job | NewJob] = {}
        self._wake = asyncio.Event()
        self._timers: set[asyncio.TimerHandle] = set()
        self._stopping = False
        self._overtaken = 0
        self._disk = FullDisk("claims of images")
        self.urgent = UrgentLane(
            engine, self._admission, limits, self.wake, partial(find_watermarks, blobs)
        )
        self.recorder = Recorder(
            store,
            blobs,
            keep_inputs=keep_inputs,
            on_returned=self._take_back,
            on_recorded=self._settle,
        )

    async def load(self) -> None:
        """Learn from the store which jobs have pending images."""
        for job_id in await self._store.jobs_with_pending():
            self.job_has_work(await self._store.job(job_id, hidden=True))

    def job_has_work(self, job: Job | NewJob) -> None:
        """The job has pending images, committed."""
        self._jobs[job.id] = job
        self._turns.add(job.id, job.priority)
        self._wake.set()

    def job_is_gone(self, job_id: str) -> None:
        """The job is final or deleted; forget what was kept for it. What is learnt of it later is
        not kept: nobody would forget it.
        """
        self._jobs.pop(job_id, None)
        self._pace.forget(job_id)
        self._reuse.forget(job_id)

    async def run(self) -> None:
        """Dispatch whenever there is room and work."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.run_once()

    async def run_once(self) -> None:
        """Hand out images until the engine is full or nothing is left to hand out."""
        await self.urgent.clear_away()
        while not self._stopping:
            await self._sort_out(self._take_followers())
            await self._submit_waiting()
            if self.urgent.waits or self._waiting or not self._engine.room() or not self._turns:
                return
            if self.recorder.backlog > MAX_BACKLOG:  # woken again when it has been recorded
                return
            with self._disk:
                await self._claim(self._engine.room())
            if self._disk.is_full:
                self._wake_later(STORAGE_DELAY_S)
                return

    async def read_events(self) -> None:
        """Take what the engine reports, until it is drained. Raises PoolBroken."""
        try:
            async for events in self._engine.events():
                for event in events:
                    if not self.urgent.handle(event):
                        self._handle(event)
                self._wake.set()
        finally:
            self.urgent.give_up()

    async def stop(self, grace_s: float) -> None:
        """Claim no more, let what runs finish within the grace, make results durable."""
        self._stopping = True
        for timer in self._timers:
            timer.cancel()
        self.urgent.close()
        await self._engine.drain(grace_s)

    async def give_back(self) -> None:
        """After the engine has ended: return what never reached it, and flush."""
        await self.urgent.clear_away()
        bundled = [piece for bundle in self._waiting for piece in bundle]
        held = self._take_followers() + self._reuse.give_back()
        in_flight = [piece for piece, _ in self._in_flight.values()]
        for piece in (*bundled, *held, *in_flight):
            self.recorder.add(Returned(piece.image, counts=False))
        self._waiting.clear()
        self._in_flight.clear()
        await self.recorder.flush()

    def wake(self) -> None:
        """There may be more room than before."""
        self._wake.set()

    @property
    def work_waits(self) -> bool:
        """Whether more workers would have something to do."""
        return self._engine.room() == 0 and bool(self.urgent.waits or self._waiting or self._turns)

    @property
    def in_flight(self) -> int:
        """Images that are with the workers."""
        return len(self._in_flight) + self.urgent.in_flight

    async def _claim(self, room: int) -> None:
        """Claim one bundle for each place, turn by turn."""
        picks: dict[str, int] = {}
        turns: dict[str, tuple[Priority, int]] = {}
        for _ in range(room):
            turn = self._turns.take()
            if turn is None:
                break
            job_id, priority, stamp = turn
            turns[job_id] = (priority, stamp)
            size = max(self._pace.bundle_size(job_id), self._reuse.run_length(job_id))
            picks[job_id] = picks.get(job_id, 0) + size
        claimed: dict[str, list[Image]] = {}
        exhausted: list[str] = []
        for image in await self._store.claim_images(list(picks.items()), now_ms()):
            claimed.setdefault(image.job_id, []).append(image)
        for job_id, wanted in picks.items():
            images = claimed.get(job_id, [])
            if len(images) < wanted:
                self._turns.exhaust(job_id, *turns[job_id])
                exhausted.append(job_id)
            job = self._jobs.get(job_id)
            if job is not None:  # else deleted meanwhile; there is nothing to give back to
                begun = [image for image in images if not image.state.is_final]
                await self._sort_out(pieces_of(job, begun))
        for job_id in exhausted:
            await self._wait_for_delayed(job_id)

    async def _wait_for_delayed(self, job_id: str) -> None:
        """Come back to the job when an image of it that waits for a later try may be tried."""
        not_before = await self._store.next_try_ms(job_id)
        if not_before is not None:
            self._wake_job_later(job_id, (not_before - now_ms()) / 1000)

    async def _sort_out(self, pieces: Sequence[Piece]) -> None:
        """Record what was made before, bundle what is to be made."""
        by_job: dict[str, list[Piece]] = {}
        for piece in pieces:
            by_job.setdefault(piece.image.job_id, []).append(piece)
        for job_id, group in by_job.items():
            job = self._jobs.get(job_id)
            if job is None:
                continue
            if job.reuse:
                group = await self._take_over(job_id, group)
            self._waiting += split_bundles(group, self._pace.bundle_size(job_id))

    async def _take_over(self, job_id: str, pieces: Sequence[Piece]) -> list[Piece]:
        """Record the images of which everything was made before; returns the others."""
        to_make = []
        sorted_out = await self._reuse.sort_out(pieces)
        for piece in sorted_out:
            if piece.to_make is None:
                self._record_made(piece, None, None)
            else:
                to_make.append(piece)
        if job_id in self._jobs:  # it may have gone during the search
            self._reuse.note_luck(job_id, all_found=bool(sorted_out) and not to_make)
        return to_make

    def _record_made(
        self, piece: Piece, rendered: Rendered | None, output_prefix: str | None
    ) -> None:
        outcome = piece.complete(rendered)
        self.recorder.add(
            Made(
                piece.image,
                outcome,
                output_prefix,
                {found.output.variant: found.link for found in piece.found},
                self._reuse.key(piece.recipe, analysed=outcome.analysis is not None),
            )
        )

    def _take_followers(self) -> list[Piece]:
        followers, self._followers = self._followers, []
        return followers

    def _settle(self, keys: Sequence[TaskKey]) -> None:
        """These dispatches are over: who waited for what they made can go on."""
        for key in keys:
            self._followers += self._reuse.settle(key)
            self._suspects.settle(key)
        self._wake.set()

    async def _submit_waiting(self) -> None:
        """Submit as far as room and memory go: what is urgent, then claimed bundles. Of these
        none overtakes another, so a heavy one gets its turn.
        """
        while not self._stopping:
            needs_room = bool(self._waiting) and self._needs_room(self._waiting[0])
            if self.urgent.waits and not (needs_room and self._overtaken >= MAX_OVERTAKEN):
                if not await self.urgent.submit_next():
                    return
                self._overtaken += needs_room
            elif not await self._submit_bundle():
                return

    async def _submit_bundle(self) -> bool:
        """Submit the first claimed bundle; False while there is none, or no room for it."""
        if not self._waiting or not self._engine.room():
            return False
        if self._waiting[0][0].image.is_suspect:
            return await self._submit_alone()
        cost = _cost(self._waiting[0])
        if not self._admission.admits(cost):
            return False
        self._overtaken = 0
        await self._submit(self._waiting.pop(0), cost)
        return True

    def _needs_room(self, bundle: Sequence[Piece]) -> bool:
        """Whether it has to wait until others have ended."""
        return bundle[0].image.is_suspect or self._admission.is_heavy(_cost(bundle))

    async def _submit_alone(self) -> bool:
        """Submit the first claimed image, a suspect; False while there is something beside it, or
        no worker is warm.
        """
        if not self._suspects.admits():
            return False
        piece = self._waiting[0][0]
        try:
            is_wanted = await self._suspects.note(piece.image)
        except StorageFull:
            self._wake_later(STORAGE_DELAY_S)
            return False
        if self._stopping:  # given back with the others
            return False
        self._overtaken = 0
        del self._waiting[0]
        if not is_wanted:
            self.recorder.add(Returned(piece.image, counts=False))
            return True
        allowance = self._suspects.begin(piece.image)
        self._in_flight[piece.image.key] = piece, allowance
        with suppress(PoolClosed):  # as in _submit
            await self._engine.submit([self._task(piece, allowance)])
        return True

    async def _submit(self, bundle: Sequence[Piece], cost_bytes: int | None) -> None:
        tasks = []
        for piece in bundle:
            allowance = self._admission.begin(cost_bytes)
            self._in_flight[piece.image.key] = piece, allowance
            tasks.append(self._task(piece, allowance))
        with suppress(PoolClosed):  # what is in flight is given back at the end of the drain
            await self._engine.submit(tasks)

    def _task(self, piece: Piece, allowance: Allowance) -> RenderTask:
        image = piece.image
        path = (
            unquote_path(image.path)
            if image.path is not None
            else str(self._blobs.input_path(image.job_id, image.id))
        )
        recipe = piece.to_make or piece.recipe
        return RenderTask(
            key=image.key,
            input_path=path,
            output_prefix="",
            recipe=recipe,
            limits=self._limits,
            memory_bytes=allowance.memory_bytes,
            analyse=piece.lacks_analysis,
            watermarks=find_watermarks(self._blobs, recipe),
            is_heavy=allowance.is_heavy,
            input_bytes=image.size_bytes if image.path is None else None,
        )

    def _handle(self, event: EngineEvent) -> None:
        match event:
            case Finished(task=task, outcome=outcome):
                if piece := self._land(task.key):
                    self._handle_outcome(piece, task, outcome)
            case Lost(key=key, cause=cause, duration_ms=duration_ms):
                if piece := self._land(key):
                    self._handle_loss(piece.image, cause, duration_ms)

    def _land(self, key: TaskKey) -> Piece | None:
        if key not in self._in_flight:
            return None
        piece, allowance = self._in_flight.pop(key)
        if not allowance.is_alone:  # a suspect has its place until its end is stored
            self._admission.end(allowance)
        return piece

    def _handle_outcome(
        self, piece: Piece, task: RenderTask, outcome: Rendered | RenderFailed | NeedsMemory
    ) -> None:
        image = piece.image
        match outcome:
            case Rendered():
                if image.job_id in self._jobs:
                    self._pace.learn(image.job_id, outcome.duration_ms)
                self._record_made(piece, outcome, task.output_prefix)
            case RenderFailed(failure=failure):
                self._fail(image, failure, outcome.input, outcome.duration_ms)
            case NeedsMemory(cost_bytes=cost) if self._admission.can_ever_fit(cost):
                if image.memory_bytes is not None:  # nobody asks a third time
                    cost = self._admission.budget_bytes
                self.recorder.add(Returned(image, counts=False, memory_bytes=cost))
            case NeedsMemory(cost_bytes=cost):
                self._fail(image, exceeds_memory(cost, self._admission.budget_bytes))

    def _handle_loss(self, image: Image, cause: LossCause, duration_ms: int | None) -> None:
        if cause is LossCause.INNOCENT:
            self.recorder.add(Returned(image, counts=False))
            return
        log.warning("image_lost", job_id=image.job_id, index=image.index, cause=str(cause))
        self._fail(image, LOSSES[cause], duration_ms=duration_ms)

    def _fail(
        self,
        image: Image,
        failure: Failure,
        input_: InputFacts | None = None,
        duration_ms: int | None = None,
    ) -> None:
        trouble = Trouble(failure, image.attempts, image.has_crashed)
        decision = decide_retry(trouble, random.random())  # noqa: S311 - no secret
        if isinstance(decision, Retry):
            self.recorder.add(Returned(image, decision.counts, failure, decision.delay_s))
        else:
            self.recorder.add(Refused(image, failure, input_, duration_ms))

    def _take_back(self, returned: Sequence[Returned]) -> None:
        """Images are pending again, committed: their jobs have work."""
        for record in returned:
            job_id = record.image.job_id
            if record.unlinked and job_id in self._jobs:
                self._reuse.refuse(record.image)
            if record.delay_s:
                self._wake_job_later(job_id, record.delay_s)
            elif job := self._jobs.get(job_id):
                self.job_has_work(job)

    def _wake_job_later(self, job_id: str, delay_s: float) -> None:
        def wake() -> None:
            self._timers.discard(timer)
            if job := self._jobs.get(job_id):
                self.job_has_work(job)

        timer = asyncio.get_running_loop().call_later(max(delay_s, 0.0), wake)
        self._timers.add(timer)

    def _wake_later(self, delay_s: float) -> None:
        def wake() -> None:
            self._timers.discard(timer)
            self._wake.set()

        timer = asyncio.get_running_loop().call_later(delay_s, wake)
        self._timers.add(timer)


def _cost(bundle: Sequence[Piece]) -> int | None:
    """What a bundle's decode is known to cost; None unless it is one image alone."""
    return bundle[0].image.memory_bytes
