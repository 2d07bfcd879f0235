"""A worker: one child process on the event loop, with the bundles that it holds."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Protocol

from imgsvc.domain.rendering import EngineEvent, LossCause, RenderTask
from imgsvc.domain.retries import MAX_INNOCENT
from imgsvc.telemetry.logs import get_logger
from imgsvc.workers.bundle import Bundle
from imgsvc.workers.engine import Toll
from imgsvc.workers.notes import NO_TASK, TaskMark
from imgsvc.workers.process import WorkerProcess
from imgsvc.workers.report import Greeting
from imgsvc.workers.verdict import name_death

log = get_logger(__name__)

START_TIMEOUT_S = 60.0
SETTLE_TIMEOUT_S = 5.0
"""How long a dead child's executor may take to fail its calls; it needs milliseconds."""


class DeathWatch(Protocol):
    """Told once, when the process is dead and no call of it will still be answered."""

    def __call__(self, worker: Worker) -> None: ...


class Worker:
    """The process's life: starting, ready, dead; `spent` from when another must take over.

    greeting: what it says when it is warm; None before.
    sentence: where it was when it was killed at the deadline; None otherwise.
    deadline: which one it was killed at: start, task, or stall; None for none.
    obituary: what it died of, where somebody is to be told. cause: for the task that it was at.
    dismissed: killed because it was not wanted any more.
    fault: a failure of the parent's that it was killed for: nobody is guilty. None for none.
    retired: another has taken over; dismissed when its bundles are done.
    unchanged_s: how long it has been at its present task, as of the last look.
    at_task_s: the same of the one that it died at; 0 where it was at none that a look has seen.
    """

    def __init__(self, process: WorkerProcess, on_settled: DeathWatch) -> None:
        self.process = process
        self.bundles: dict[int, Bundle] = {}
        self.greeting: Greeting | None = None
        self.ready = False
        self.dead = False
        self.dismissed = False
        self.fault: BaseException | None = None
        self.retired = False
        self.sentence: TaskMark | None = None
        self.deadline: str | None = None
        self.obituary: dict[str, object] | None = None
        self.cause: LossCause | None = None
        self.tasks_done = 0
        self.resident_bytes = 0
        self.started = asyncio.Event()
        self.spent = asyncio.Event()
        self.gone = asyncio.Event()
        self._on_settled = on_settled
        self._settled = False
        self._abandoned = False
        self._loop = asyncio.get_running_loop()
        self._mark = NO_TASK
        self._seen = NO_TASK, False
        self._yields_before = 0
        self._must_stop = False
        self.unchanged_s = 0.0
        self.at_task_s = 0.0
        self._loop.add_reader(process.pidfd, self._on_death)
        process.ready.add_done_callback(self._post_ready)

    def dismiss(self) -> None:
        """End the process; it is not wanted any more."""
        if not self.dead:
            self.dismissed = True
            self.process.kill()

    def close(self) -> None:
        """Let go of the dead process; in a thread."""
        self.process.close(wait=not self._abandoned)

    def tell_end(self, slot: int, toll: Toll) -> None:
        """For the log, after `close`: only then is it known how it ended."""
        if self.obituary is not None:
            was_warm = self.greeting is not None
            toll.deaths[name_death(self.cause, self.deadline, was_warm=was_warm)] += 1
            pid, end = self.process.pid, self.process.end
            facts = {"slot": slot, "pid": pid, "end": end, "deadline": self.deadline}
            log.warning("worker_died", **facts, warm=self.ready, **self.obituary)

    def fail(self, bundle: Bundle, failure: BaseException, *, is_ours: bool = False) -> None:
        """A call ended without a report, so the process is broken, if not dead.

        is_ours: the failure is the parent's.
        """
        bundle.failure = failure
        if is_ours and not self.dead:
            self.fault = failure
        if not self.dead:
            self.process.kill()
        self._settle_when_possible()

    def landed(self, bundle: Bundle) -> None:
        """The bundle's call is answered; time is counted anew for the next. One that was never
        sent is let go, and whoever runs meanwhile has no more time for it.
        """
        self.bundles.pop(bundle.ordinal, None)
        if bundle.sent:
            self.unchanged_s = 0.0
        self._settle_when_possible()

    def ask_to_yield(self, ordinal: int) -> None:
        """To an urgent bundle of this ordinal."""
        self._yields_before = ordinal
        self.process.notes.ask_to_yield(ordinal)

    def ask_to_stop(self) -> None:
        self._must_stop = True
        self.process.notes.ask_to_stop()

    def may_cut_short(self, bundle: Bundle) -> bool:
        """Whether it was asked for anything for which it leaves tasks of the bundle undone."""
        return self._must_stop or (bundle.makes_way and bundle.ordinal < self._yields_before)

    @property
    def mark(self) -> TaskMark:
        """The furthest that the child has noted, of those where it has a task. A hijacked one may
        note anything: going back and forth it would have no deadline.
        """
        noted = self.process.notes.read_mark()
        bundle = self.bundles.get(noted.ordinal)
        if noted > self._mark and bundle is not None and noted.position < len(bundle.tasks):
            self._mark = noted
        return self._mark

    def running_task(self, mark: TaskMark) -> RenderTask | None:
        """The task at `mark`, unless its outcome is known or it was given back."""
        bundle = self.bundles.get(mark.ordinal)
        return bundle.task_at(mark) if bundle else None

    def find_guilty(self) -> RenderTask | None:
        """The task that the process died of; None if it seems to have been at none.

        It was at the first bundle that it has not answered. Where it says that it was elsewhere,
        it hides something, or it died between two tasks: that is believed a few times, unless
        there is but one who can have hidden it.
        """
        bundle = next((b for b in self.bundles.values() if b.sent), None)
        if bundle is None or self.dismissed or self.fault or self.greeting is None:
            return None
        mark = self.sentence or self.mark
        if self.sentence is not None and mark.ordinal < bundle.ordinal:
            return None  # whoever was past its deadline has answered after all
        first, task = bundle.first_open, bundle.task_at(mark)
        if first is None or (task is not None and (self.sentence or self._is_sure(mark))):
            return task
        is_ahead = mark.ordinal > bundle.ordinal and len(bundle.tasks) == 1
        return first if is_ahead or first.key.claim > MAX_INNOCENT else None

    def _is_sure(self, mark: TaskMark) -> bool:
        """Whether nobody but the task at `mark` can be at work. A child that has taken back what it
        noted may have gone on to a later one of the bundle.
        """
        is_last = mark.position == len(self.bundles[mark.ordinal].tasks) - 1
        return is_last or self.process.notes.read_mark() == mark

    def announce(self) -> list[EngineEvent]:
        """A Started for every task begun since the last look. Nothing while the report of an
        earlier bundle is still on its way: what it says comes first.
        """
        mark = self.mark
        bundle = self.bundles.get(mark.ordinal)
        if bundle is None or min(self.bundles) < mark.ordinal:
            return []
        return bundle.announce(mark)

    def look(self, elapsed_s: float, timeout_s: float) -> None:
        """Keep the deadlines, `elapsed_s` after the last look.

        Time is added up look by look and not taken from a clock, so that a machine, or a
        terminal's group of processes, that was stopped for a while kills nothing. Who has nothing
        to do has no deadline, however long its next bundle is brought.
        """
        mark = self.mark
        has_work = any(bundle.sent for bundle in self.bundles.values())
        if (mark, has_work) != self._seen or (self.ready and not self.bundles):
            self._seen = mark, has_work
            self.unchanged_s = 0.0
            return
        self.unchanged_s += elapsed_s
        if self.dead:
            self._give_up_settling()
        elif not self.ready:
            if self.unchanged_s >= START_TIMEOUT_S:
                self._kill_at("start")
        elif self.running_task(mark) is not None:
            if self.unchanged_s >= timeout_s and not self._is_answered(mark):
                if self._is_sure(mark):
                    self.sentence = self.sentence or mark
                self._kill_at("task")
        elif has_work and self.unchanged_s >= timeout_s:
            self._kill_at("stall")

    def _kill_at(self, deadline: str) -> None:
        self.deadline = self.deadline or deadline
        self.process.kill()

    def _is_answered(self, mark: TaskMark) -> bool:
        """Whether the outcome is already on its way to the loop."""
        return self.bundles[mark.ordinal].answered

    def _post_ready(self, ready: Future[Greeting]) -> None:
        greeting = ready.result() if ready.exception() is None else None
        self._loop.call_soon_threadsafe(self._on_started, greeting)

    def _on_started(self, greeting: Greeting | None) -> None:
        """Also after its death: what died of its first task has started all the same."""
        self.greeting = greeting
        self.ready = greeting is not None and not self.dead
        self.unchanged_s = 0.0
        self.started.set()

    def _on_death(self) -> None:
        self._loop.remove_reader(self.process.pidfd)
        self.dead = True
        if self.mark == self._seen[0]:
            self.at_task_s = self.unchanged_s
        self.unchanged_s = 0.0
        self.spent.set()
        self._settle_when_possible()

    def _settle_when_possible(self) -> None:
        """Results that were sent before the death still arrive, so wait for every call."""
        waits = any(bundle.failure is None for bundle in self.bundles.values())
        if self.dead and not waits and not self._settled:
            self._settled = True
            self._on_settled(self)

    def _give_up_settling(self) -> None:
        if self.unchanged_s >= SETTLE_TIMEOUT_S:
            self._abandoned = True
            self.started.set()
            for bundle in self.bundles.values():
                bundle.failure = bundle.failure or TimeoutError("no answer after death")
            self._settle_when_possible()
