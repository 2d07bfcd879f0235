"""One worker process and its executor, as the parent holds them. Threads may call all of it."""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.queues import SimpleQueue
from typing import Any

from imgsvc.domain.rendering import Failure, Outcome, RenderFailed, RenderTask
from imgsvc.domain.retries import MAX_INNOCENT
from imgsvc.errors import ImageErrorCode
from imgsvc.workers import answers, child
from imgsvc.workers.answers import AnswerQueue
from imgsvc.workers.notes import Notes
from imgsvc.workers.parcel import CALL_BYTES, pack
from imgsvc.workers.report import BundleReport, Greeting, NotUnderstood, read_report
from imgsvc.workers.scratch import NOT_NOW, InputUnavailable, ProcessFiles, Scratch, find_passing
from imgsvc.workers.scrutiny import is_plausible
from imgsvc.workers.space import is_plenty

ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "VIPS_CONCURRENCY": "1"}
"""For every child. The C library reads its part before Python runs, so it is inherited."""

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STDERR_TAIL_BYTES = 8192

BundleAnswer = BundleReport | BaseException


class _Unlocked:
    """For the executor's locks, which would lie in memory that it shares with its child. One that
    is hijacked or killed keeps what it has taken, and the parent would wait for ever; nor is a
    name left in /dev/shm when all are killed. Each pipe has one reader and one writer, so there is
    nothing to be locked, and a slot holds so few bundles that there is nothing to be counted.
    """

    def acquire(self, *_: object) -> bool:
        return True

    def release(self) -> None:
        return

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        return

    @property
    def _semlock(self) -> _Unlocked:
        """What a queue asks whether it is full."""
        return self

    def _is_zero(self) -> bool:
        return False


class _Process(SpawnProcess):
    """Once it is started the child alone has its ends of the pipes: when it dies, whoever reads
    half a message or writes into a full pipe is told so.

    It ignores a mere request to end: what the executor sends when it reads what is no answer.
    """

    def start(self) -> None:
        calls, results = self._args[:2]  # type: ignore[attr-defined]  # of the executor's worker
        super().start()
        calls._reader.close()  # noqa: SLF001 - as above
        results._writer.close()  # noqa: SLF001

    def terminate(self) -> None:
        self.kill()


class _Context(SpawnContext):
    """The `spawn` context; it keeps the process that the executor starts through it, and what
    comes from that process is read with care.
    """

    process: SpawnProcess | None = None
    answers: AnswerQueue

    def SimpleQueue(self) -> SimpleQueue[Any]:  # noqa: N802
        """Of results: the executor makes no other."""
        self.answers = AnswerQueue(ctx=self)
        return self.answers

    def Lock(self) -> _Unlocked:  # type: ignore[override]  # noqa: N802
        return _Unlocked()

    def BoundedSemaphore(self, value: int = 1) -> _Unlocked:  # type: ignore[override]  # noqa: N802
        return _Unlocked()

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        self.process = _Process(*args, **kwargs)
        return self.process

    def end_process(self) -> None:
        """Kill the process that nobody will watch, if there is one."""
        if self.process is not None and self.process.pid is not None:
            self.process.kill()
            self.process.join()


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """pidfd: names this very process, also when its number is used again.

    ready: done when the child is warm, with what it says then; failed when it died before.
    """

    executor: ProcessPoolExecutor
    process: SpawnProcess
    pid: int
    pidfd: int
    notes: Notes
    scratch: Scratch
    files: ProcessFiles
    ready: Future[Greeting]

    def pack_call(self, ordinal: int, tasks: tuple[RenderTask, ...]) -> bytes | None:
        """A bundle's parcel for `submit`, written to a file where it is large. Raises
        InputUnavailable where that is not possible now.
        """
        call_path = self.scratch.call_path(ordinal)
        try:
            parcel = pack(tasks, CALL_BYTES, call_path)
            self.scratch.report_path(ordinal).unlink(missing_ok=True)  # nobody of ours left it
        except OSError as exc:
            with suppress(OSError):
                call_path.unlink(missing_ok=True)
            raise InputUnavailable(find_passing(exc) or NOT_NOW) from exc
        return parcel

    def submit(
        self,
        ordinal: int,
        tasks: tuple[RenderTask, ...],
        parcel: bytes | None,
        answer: Callable[[BundleAnswer], None],
        *,
        makes_way: bool,
    ) -> None:
        """Send a bundle; `answer` is called once, in another thread, unless this raises.

        Raises BrokenExecutor when the child is dead, and RuntimeError after `close`.
        """
        future = self.executor.submit(child.run_bundle, ordinal, parcel, makes_way)
        future.add_done_callback(lambda done: answer(self._collect(ordinal, tasks, done)))

    def _collect(
        self, ordinal: int, tasks: tuple[RenderTask, ...], done: Future[bytes | None]
    ) -> BundleAnswer:
        failure = done.exception()
        if failure is not None:
            return failure
        try:
            data = done.result()
            if data is None:
                data = answers.read_file(self.scratch.report_path(ordinal), len(tasks))
            report = read_report(data)
        except (OSError, NotUnderstood) as exc:
            if isinstance(exc, OSError) and (passing := find_passing(exc)):
                return self._give_up(ordinal, tasks, passing)
            # A new one: the frames of the other would hold this very call, and all its locks,
            # until the garbage is collected.
            return NotUnderstood(str(exc))
        if not is_plausible(report, tasks):
            return NotUnderstood("a worker says what cannot be")
        for task, outcome in zip(tasks, report.outcomes, strict=False):
            if _lacks_space_again(task, outcome) and is_plenty(self.scratch.folder, task.key.claim):
                return NotUnderstood("a worker finds no space where there is plenty")
        return report

    def _give_up(
        self, ordinal: int, tasks: tuple[RenderTask, ...], failure: Failure
    ) -> BundleReport:
        """What was made is known to nobody: it is as if it had met the trouble itself."""
        self.scratch.remove_all_of(tasks)
        self.scratch.report_path(ordinal).unlink(missing_ok=True)
        return BundleReport(tuple(RenderFailed(failure, None, 0) for _ in tasks), {}, 0)

    @property
    def is_dead(self) -> bool:
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def kill(self) -> None:
        """SIGKILL; nothing when it is dead already."""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return

    @property
    def end(self) -> str | None:
        """The exit code, or the signal that ended it; None while it lives, and where its executor,
        which waits for it, does not come to an end.
        """
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"exit code {code}" if code is not None else None
        return f"signal {-code} ({signal.strsignal(-code)})"

    def read_stderr(self) -> str:
        """The end of what it said during its last task; empty when it never got so far, or nobody
        can read it now.
        """
        try:
            with self.files.stderr.open("rb") as file:
                size_bytes = file.seek(0, os.SEEK_END)
                file.seek(max(0, size_bytes - _STDERR_TAIL_BYTES))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    def close(self, *, wait: bool) -> None:
        """Let go of a dead process: its executor, its descriptor and its files.

        wait: until the executor's thread has ended, which one that is stuck never does.
        """
        self.executor.shutdown(wait=wait)
        os.close(self.pidfd)
        self.files.remove()


def spawn(scratch: Scratch, equipment: child.Equipment) -> WorkerProcess:
    """Start a child and do not wait until it is warm.

    The calling thread has to live as long as the child: the kernel kills the child with it.
    Raises OSError when the system has no room for another process, file or thread, or none on
    its disk.
    """
    _block_stop_signals()
    scratch.restore()
    notes = Notes()
    settings = child.ChildSettings(
        notes=notes,
        parent_pid=os.getpid(),
        folder=scratch.folder,
        files=scratch.new_process_files(),
        equipment=equipment,
    )
    context = _Context()
    executor = ProcessPoolExecutor(
        1, mp_context=context, initializer=child.begin, initargs=(settings,)
    )
    context.answers.guard(executor._pending_work_items)  # noqa: SLF001 - calls that wait
    try:
        ready = executor.submit(child.report_ready)
        process = context.process
        if process is None or process.pid is None:
            raise ChildProcessError("the executor started no process")
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        context.end_process()
        raise
    except RuntimeError as exc:
        context.end_process()
        raise BlockingIOError(errno.EAGAIN, str(exc)) from exc
    return WorkerProcess(
        executor, process, process.pid, pidfd, notes, scratch, settings.files, ready
    )


def _lacks_space_again(task: RenderTask, outcome: Outcome) -> bool:
    """Such an outcome costs no attempt, so it is not believed for ever."""
    return (
        task.key.claim > MAX_INNOCENT
        and isinstance(outcome, RenderFailed)
        and outcome.failure.code is ImageErrorCode.STORAGE_FULL
    )


def _block_stop_signals() -> None:
    """A child inherits the mask of the thread that spawns it, so that a Ctrl-C in its first
    moments, before it ignores signals, does not end it. Starting the tracker unblocks them.
    """
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
