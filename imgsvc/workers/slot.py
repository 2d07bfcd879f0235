"""A slot: one place where tasks run, whichever process stands in it at the time."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from imgsvc.domain.rendering import EngineEvent, Finished, RenderTask
from imgsvc.telemetry.logs import get_logger
from imgsvc.workers import starts
from imgsvc.workers.bundle import Bundle, end_unavailable
from imgsvc.workers.child import Equipment
from imgsvc.workers.engine import PoolBroken, Toll, WorkerFacts, WorkerState
from imgsvc.workers.process import BundleAnswer, WorkerProcess, spawn
from imgsvc.workers.report import BundleReport, Greeting, NotUnderstood
from imgsvc.workers.scratch import InputUnavailable, Scratch, bring_in_all
from imgsvc.workers.verdict import judge_death
from imgsvc.workers.worker import Worker

log = get_logger(__name__)

DEPTH = 2
"""Bundles that a slot holds, so that its child need not wait for the parent."""

URGENT_DEPTH = DEPTH + 1
"""The same while one of them is urgent: there is a place for it when all others are taken."""

COLLECT_AFTER_S = 1.0

_T = TypeVar("_T")


class Keep(Protocol):
    """Run a coroutine as a task that somebody watches and awaits."""

    def __call__(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]: ...


@dataclass(frozen=True, slots=True)
class SlotSettings:
    """What all slots of a pool share.

    spawner: one thread that lives as long as any child. hands: threads for file work.
    emit: takes events. on_change: told when a slot may take more, or has more to watch.
    learn: told what a process says when it is warm. toll: where every process's end is counted.
    keep: runs what a slot does on the side.
    anyone_ready: whether any slot of the pool has a process that works.
    """

    equipment: Equipment
    timeout_s: float
    max_tasks_per_child: int
    max_resident_bytes: int
    spawner: ThreadPoolExecutor
    hands: ThreadPoolExecutor
    emit: Callable[[Iterable[EngineEvent]], None]
    on_change: Callable[[], None]
    learn: Callable[[Greeting], None]
    keep: Keep
    anyone_ready: Callable[[], bool]
    toll: Toll


class Slot:
    """Keeps a warm process for the bundles that it accepts, until it is told to leave."""

    def __init__(self, number: int, scratch: Scratch, settings: SlotSettings) -> None:
        self.number = number
        self.scratch = scratch
        self.restarts = 0
        self.leaving = False
        self._failed_starts = 0
        self._left = asyncio.Event()
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._bundles: dict[int, Bundle] = {}
        self._ordinal = 0
        self._order = asyncio.Lock()
        self._workers: list[Worker] = []
        self._active: Worker | None = None
        self._changed = asyncio.Event()

    @property
    def load(self) -> int:
        return len(self._bundles)

    def room(self, *, urgent: bool) -> int:
        """Bundles that it takes now. Of urgent ones, as many as of any others and no more: what
        is handed over early may wait here while another slot stands idle.
        """
        if self.leaving or self.is_ill:
            return 0
        if urgent:
            return max(0, min(DEPTH - self._urgent_load, URGENT_DEPTH - self.load))
        return max(0, DEPTH - self.load)

    def delay(self, *, urgent: bool) -> tuple[int, int]:
        """What a new bundle waits for here, to be compared: whole seconds that the present
        task runs already, for it may go on as long, and bundles before it. A slot that is not
        warm counts as one bundle more.
        """
        if not urgent:
            return 0, self.load + (not self.is_ready)
        running_s = self._active.unchanged_s if self._active is not None else 0.0
        begun = self.load > self._urgent_load  # at most one: the others make way
        return int(running_s), self._urgent_load + begun + (not self.is_ready)

    @property
    def _urgent_load(self) -> int:
        return sum(bundle.is_urgent for bundle in self._bundles.values())

    @property
    def is_ready(self) -> bool:
        return self._active is not None and self._active.ready

    @property
    def is_quiet(self) -> bool:
        """Whether nothing here has a deadline."""
        return not self._bundles and all(w.ready and not w.dead for w in self._workers)

    @property
    def is_ill(self) -> bool:
        """Whether it has no process, and the last one died before it was warm."""
        return self._failed_starts > 0 and self._active is None

    async def run(self) -> None:
        """Keep a process in the slot until the slot leaves. Raises PoolBroken when processes
        die again and again before they are warm, and no other in the pool works either.
        """
        while not self.leaving:
            worker = await self._start_worker()
            if worker is not None and await self._await_ready(worker):
                self._failed_starts = 0
                self._activate(worker)
                await worker.spent.wait()
            elif not self.leaving:
                await self._note_failed_start(was_refused=worker is None)

    async def _note_failed_start(self, *, was_refused: bool) -> None:
        """Wait a little, longer each time; a worker that is to be replaced goes on meanwhile.

        was_refused: the system had no room for it, which passes.
        """
        self._failed_starts += 1
        failed = self._failed_starts
        self._changed.set()
        hopeless = starts.is_hopeless(failed, was_refused=was_refused)
        if hopeless and not self._settings.anyone_ready():
            raise PoolBroken(await asyncio.to_thread(starts.explain, failed, sys.executable))
        pause_s = starts.pause_s(failed, was_refused=was_refused)
        log.error("worker_start_failed", slot=self.number, times=failed, pause_s=pause_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._left.wait()

    async def wait_gone(self) -> None:
        """Until no process of the slot is left, and no file of a lost task."""
        for worker in list(self._workers):
            await worker.gone.wait()

    def make_bundle(self, tasks: Sequence[RenderTask], *, urgent: bool) -> Bundle:
        """Take the bundle on; `carry` brings it to the child."""
        self._ordinal += 1
        placed = tuple(self.scratch.place(task) for task in tasks)
        bundle = Bundle(self._ordinal, placed, is_urgent=urgent)
        self._bundles[bundle.ordinal] = bundle
        return bundle

    async def carry(self, bundle: Bundle, tasks: Sequence[RenderTask]) -> None:
        """Bring the bundle to the child, in one visit to a thread. One at a time, so that
        ordinals reach the child in order.
        """
        async with self._order:
            worker = await self._next_worker(bundle)
            if worker is None:
                self._close(bundle, bundle.give_back())
                return
            worker.bundles[bundle.ordinal] = bundle
            if bundle.is_urgent:
                worker.ask_to_yield(bundle.ordinal)
            try:
                sent = await self._in_thread(self._hand_over, worker, bundle, tasks)
            except (RuntimeError, OSError) as exc:  # the child is dead, its executor broken
                bundle.sent = False
                worker.fail(bundle, exc, is_ours=isinstance(exc, OSError))
                await self._remove(bundle.tasks)  # its burial may have come too early for that
                return
        if not sent:
            worker.landed(bundle)
            self._close(bundle, ())

    def leave(self) -> None:
        """Accept nothing more; go when what is here has ended."""
        self._go()
        self._dismiss_unneeded()

    def stop(self) -> None:
        """Leave, and give back at once whatever has not begun."""
        for worker in self._workers:
            worker.ask_to_stop()
        for bundle in self._bundles.values():
            mark = next((w.mark for w in self._workers if bundle.ordinal in w.bundles), None)
            self._settings.emit(bundle.give_back(beyond=mark))
        self.leave()

    def kill(self) -> None:
        """End every process now; what they hold is lost through no fault of its own."""
        self._go()
        for worker in self._workers:
            worker.dismiss()

    def _go(self) -> None:
        self.leaving = True
        self._left.set()
        self._changed.set()

    def look(self, elapsed_s: float) -> None:
        """Report what has begun, and keep the deadlines."""
        for worker in self._workers:
            self._settings.emit(worker.announce())
            worker.look(elapsed_s, self._settings.timeout_s)

    def facts(self) -> WorkerFacts:
        worker = self._active
        return WorkerFacts(
            slot=self.number,
            state=self._state(),
            pid=worker.process.pid if worker else None,
            bundles=self.load,
            resident_bytes=worker.resident_bytes if worker else 0,
            tasks_done=worker.tasks_done if worker else 0,
            restarts=self.restarts,
        )

    def _state(self) -> WorkerState:
        if self.leaving:
            return WorkerState.LEAVING
        if not self.is_ready:
            return WorkerState.STARTING
        return WorkerState.BUSY if self._bundles else WorkerState.IDLE

    # -- processes ---------------------------------------------------------------------

    async def _start_worker(self) -> Worker | None:
        """A process that is not warm yet; None when the system refuses one."""
        settings = self._settings
        try:
            process: WorkerProcess = await self._loop.run_in_executor(
                settings.spawner, spawn, self.scratch, settings.equipment
            )
        except OSError as exc:
            log.error("worker_not_started", slot=self.number, reason=str(exc))  # noqa: TRY400 - the reason says it all
            return None
        worker = Worker(process, self._on_settled)
        self._workers.append(worker)
        settings.on_change()
        if self.leaving:
            worker.dismiss()
        await self._remove(())  # what could not be removed when the one before had died
        return worker

    async def _await_ready(self, worker: Worker) -> bool:
        """Bundles may queue up at a child that still warms up, unless there is a warm one."""
        if self._active is None:
            self._activate(worker)
        await worker.started.wait()
        if worker.greeting is not None:
            self._settings.learn(worker.greeting)
        return worker.greeting is not None

    def _activate(self, worker: Worker) -> None:
        if self._active is worker or worker.dead:
            return
        if self._active is not None:
            self._active.retired = True
        self._active = worker
        self._changed.set()
        self._settings.on_change()
        self._dismiss_unneeded()

    def _dismiss_unneeded(self) -> None:
        for worker in self._workers:
            expects = worker is self._active and bool(self._bundles)
            unneeded = worker.retired or (self.leaving and not expects)
            if unneeded and not worker.bundles:
                worker.dismiss()

    async def _next_worker(self, bundle: Bundle) -> Worker | None:
        """The process that takes the next bundle; None when there will be none."""
        while bundle.is_open:
            if self._active is not None and not self._active.dead:
                return self._active
            if self.leaving or self.is_ill:
                return None
            self._changed.clear()
            await self._changed.wait()
        return None

    # -- bundles -----------------------------------------------------------------------

    def _hand_over(self, worker: Worker, bundle: Bundle, tasks: Sequence[RenderTask]) -> bool:
        """Link the inputs in and send the bundle; in a thread. False if none could be sent.
        Raises RuntimeError where the child is dead, OSError where its slot cannot be used.
        """
        refused: list[Finished] = []
        sent: list[RenderTask] = []
        for task, placed in zip(tasks, bundle.tasks, strict=True):
            try:
                bring_in_all(task, placed)
            except InputUnavailable as exc:
                refused.append(end_unavailable(placed, exc))
            else:
                sent.append(placed)
        if not self.scratch.is_there:
            raise FileNotFoundError(f"the folders of slot {self.number} are gone")
        if refused:
            bundle.tasks = tuple(sent)
            self._loop.call_soon_threadsafe(self._on_refused, bundle, refused)
        if not sent:
            return False
        try:
            parcel = worker.process.pack_call(bundle.ordinal, bundle.tasks)
        except InputUnavailable as exc:
            self.scratch.remove_all_of(sent)
            refused = [end_unavailable(placed, exc) for placed in sent]
            bundle.tasks = ()
            self._loop.call_soon_threadsafe(self._on_refused, bundle, refused)
            return False

        def answer(outcome: BundleAnswer) -> None:
            bundle.answered = True
            self._loop.call_soon_threadsafe(self._on_answer, worker, bundle, outcome)

        makes_way = bundle.makes_way
        bundle.sent = not worker.process.is_dead  # afterwards it may be dead of this very bundle
        worker.process.submit(bundle.ordinal, bundle.tasks, parcel, answer, makes_way=makes_way)
        return True

    def _on_refused(self, bundle: Bundle, refused: Sequence[Finished]) -> None:
        self._settings.emit(bundle.refuse(refused))

    def _on_answer(self, worker: Worker, bundle: Bundle, answer: BundleAnswer) -> None:
        if not isinstance(answer, BundleReport):
            worker.fail(bundle, answer)
            return
        if len(answer.outcomes) < len(bundle.tasks) and not worker.may_cut_short(bundle):
            worker.fail(bundle, NotUnderstood("a worker leaves tasks undone"))
            return
        events, late = bundle.finish(answer)
        for position, trace in answer.tracebacks.items():
            log.error("render_error", task=bundle.tasks[position].key, traceback=trace)
        worker.tasks_done += len(answer.outcomes)
        worker.resident_bytes = answer.resident_bytes
        if late:
            self._keep(self._remove(late), "discard")
        self._wear(worker)
        worker.landed(bundle)
        self._close(bundle, events)

    def _wear(self, worker: Worker) -> None:
        """Ask for a successor when the process has grown too large or too old; it goes on
        until the successor is warm.
        """
        if (
            worker.tasks_done >= self._settings.max_tasks_per_child
            or worker.resident_bytes >= self._settings.max_resident_bytes
        ) and not worker.spent.is_set():
            log.debug("worker_recycled", slot=self.number, resident_bytes=worker.resident_bytes)
            self._settings.toll.replaced += 1
            worker.spent.set()

    def _close(self, bundle: Bundle, events: Iterable[EngineEvent]) -> None:
        self._bundles.pop(bundle.ordinal, None)
        self._settings.emit(events)
        self._settings.on_change()
        self._dismiss_unneeded()

    # -- deaths ------------------------------------------------------------------------

    def _on_settled(self, worker: Worker) -> None:
        if self._active is worker:
            self._active = None
        if not worker.dismissed:
            self.restarts += 1
        self._keep(self._bury(worker), "bury")

    async def _bury(self, worker: Worker) -> None:
        """Find the task at fault, give back the others, and remove what is left of all."""
        try:
            events = self._judge(worker, await self._in_thread(worker.process.read_stderr))
            bundles = list(worker.bundles.values())
            tasks = [task for bundle in bundles for task in bundle.tasks]
            await self._in_thread(self.scratch.remove_all_of, tasks, list(worker.bundles))
            worker.bundles.clear()
            for bundle in bundles:
                events += bundle.give_back()
                self._bundles.pop(bundle.ordinal, None)
            self._settings.emit(events)
            self._settings.on_change()
            self._dismiss_unneeded()
            await self._in_thread(worker.close)
            worker.tell_end(self.number, self._settings.toll)
        finally:  # or nobody could ever leave
            self._workers.remove(worker)
            worker.gone.set()
            # What the executor leaves holds itself, and with it files, until it is searched for.
            self._loop.call_later(COLLECT_AFTER_S, gc.collect)

    def _judge(self, worker: Worker, stderr: str) -> list[EngineEvent]:
        """The end of the task that the worker died of, if there is one."""
        if worker.dismissed:
            return []
        task = worker.find_guilty()
        cause = None
        failure = worker.fault or next((b.failure for b in worker.bundles.values()), None)
        events: list[EngineEvent] = []
        if task is not None:
            bundle = next(b for b in worker.bundles.values() if task in b.tasks)
            failure = bundle.failure
            worker.cause = cause = judge_death(
                past_deadline=worker.sentence is not None,
                failure=failure,
                is_heavy=task.is_heavy,
                stderr=stderr,
            )
            events = bundle.condemn(task, cause, round(worker.at_task_s * 1000))
        worker.obituary = {
            "job_id": task.key.job_id if task else None,
            "index": task.key.index if task else None,
            "cause": cause,
            "failure": str(failure) if failure else None,
            "stderr": stderr,
        }
        return events

    async def _remove(self, tasks: Sequence[RenderTask]) -> None:
        await self._in_thread(self.scratch.remove_all_of, tasks)

    def _keep(self, work: Coroutine[Any, Any, None], what: str) -> None:
        self._settings.keep(work, f"slot-{self.number}-{what}")

    async def _in_thread(self, function: Callable[..., _T], *arguments: object) -> _T:
        return await self._loop.run_in_executor(self._settings.hands, function, *arguments)
