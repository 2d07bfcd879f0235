"""The worker pool: an engine of slots, each with one child process."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

from imgsvc.domain.confinement import Confinement, SandboxMode
from imgsvc.domain.formats import Formats
from imgsvc.domain.rendering import EngineEvent, RenderTask
from imgsvc.files.slot_names import is_slot
from imgsvc.telemetry.logs import get_logger
from imgsvc.workers.child import Equipment, Render, WarmUp, import_imaging, render_image
from imgsvc.workers.engine import PoolClosed, Toll, WorkerFacts
from imgsvc.workers.notes import MAX_TASKS_PER_BUNDLE
from imgsvc.workers.process import ENVIRONMENT
from imgsvc.workers.report import Greeting
from imgsvc.workers.scratch import Scratch
from imgsvc.workers.slot import Slot, SlotSettings
from imgsvc.workers.stream import EventStream

log = get_logger(__name__)

LOOK_EVERY_S = 0.05
MAX_TASKS_PER_CHILD = 5000
MAX_RESIDENT_BYTES = 512 * 1024**2

_LONGEST_LOOK_S = 1.0
"""A longer gap between two looks is one in which the machine or the parent stood still."""

_HANDS = 4
"""Threads for links and other file work; own ones, since others' work can be long."""


class WorkerPool:
    """An Engine of `size` slots under `folder`, which is its own and wiped at the start.

    timeout_s: a task that runs longer is lost, and its worker killed.
    memory_bytes: for all slots together; see `share_bytes`.
    render: picklable, of a module's top level. warm_up: likewise, called once in every child
        before its first task; None imports the imaging package if `render` is its own.
    sandbox: how far children have to shut themselves in.
    max_tasks_per_child, max_resident_bytes: beyond either a child is replaced between tasks.
    toll: what has become of children.
    """

    def __init__(
        self,
        *,
        folder: Path,
        size: int,
        timeout_s: float,
        memory_bytes: int,
        render: Render = render_image,
        warm_up: WarmUp | None = None,
        sandbox: SandboxMode = "auto",
        max_tasks_per_child: int = MAX_TASKS_PER_CHILD,
        max_resident_bytes: int = MAX_RESIDENT_BYTES,
    ) -> None:
        _check_size(size)
        self._folder = folder
        self._size = size
        self._memory_bytes = memory_bytes
        self._slots: dict[int, Slot] = {}
        self._stream = EventStream()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._restless = asyncio.Event()
        self._resizing = asyncio.Lock()
        self._closed = False
        self._draining = False
        self._ended = asyncio.Event()
        self._error: Exception | None = None
        self._formats: Formats | None = None
        self.toll = Toll()
        self._settings = SlotSettings(
            equipment=Equipment(
                render=render,
                warm_up=warm_up or (import_imaging if render is render_image else _do_nothing),
                sandbox=sandbox,
                memory_bytes=memory_bytes,
            ),
            timeout_s=timeout_s,
            max_tasks_per_child=max_tasks_per_child,
            max_resident_bytes=max_resident_bytes,
            spawner=_open_threads(1, "worker-spawner"),
            hands=_open_threads(_HANDS, "worker-files"),
            emit=self._stream.put,
            on_change=self._on_change,
            learn=self._learn,
            keep=self._keep,
            anyone_ready=lambda: any(slot.is_ready for slot in self._slots.values()),
            toll=self.toll,
        )

    async def start(self) -> None:
        """Open the slots; their children warm up in the background. Raises OSError when the
        folder cannot be emptied or made.
        """
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        await asyncio.to_thread(_empty, self._folder)
        for _ in range(self._size):
            await self._open_slot()
        self._watcher = self._keep(self._watch(), "worker-watcher")

    @property
    def size(self) -> int:
        return self._size

    @property
    def share_bytes(self) -> int:
        """What one task may cost when all slots are busy."""
        return self._memory_bytes // self._size

    def room(self, *, urgent: bool = False) -> int:
        """Bundles that `submit` takes now without waiting."""
        if self._closed:
            return 0
        return sum(slot.room(urgent=urgent) for slot in self._slots.values())

    def workers(self) -> tuple[WorkerFacts, ...]:
        return tuple(slot.facts() for _, slot in sorted(self._slots.items()))

    async def formats(self) -> Formats:
        """What the workers read and write; waits until the first one is warm.

        Raises PoolClosed, and what `events` raises once the pool is broken.
        """
        while self._formats is None:
            self._check_open()
            self._changed.clear()
            await self._changed.wait()
        return self._formats

    async def submit(self, tasks: Sequence[RenderTask], *, urgent: bool = False) -> None:
        """Hand one bundle to the least loaded slot, waiting for room if there is none. For an
        urgent one, ordinary tasks that the slot has not begun are given back.

        An input that is gone, or cannot be linked or copied, ends as `Finished` with a
        RenderFailed. Cancelling the call does not take the bundle back. Raises PoolClosed,
        and what `events` raises once the pool is broken.
        """
        if not 0 < len(tasks) < MAX_TASKS_PER_BUNDLE:
            raise ValueError(f"a bundle holds 1 to {MAX_TASKS_PER_BUNDLE - 1} tasks")
        slot = await self._find_room(urgent=urgent)
        bundle = slot.make_bundle(tasks, urgent=urgent)
        self._restless.set()
        await asyncio.shield(self._keep(slot.carry(bundle, tasks), f"slot-{slot.number}-carry"))

    def events(self) -> AsyncIterator[Sequence[EngineEvent]]:
        """Batches in order, for one consumer; ends after `drain`. Raises PoolBroken."""
        return self._stream.batches()

    async def release(self, task: RenderTask) -> None:
        """Remove the files of a task as `Finished` gave it, outputs that nobody took included.

        Raises ValueError for a task whose outputs do not stand in a slot's folder.
        """
        folder = Path(task.output_prefix).parent
        if folder.parent != self._folder:
            raise ValueError("the task's outputs do not stand in a slot's folder")
        slot = self._slots.get(int(folder.name))
        scratch = slot.scratch if slot is not None else Scratch(folder)
        await asyncio.to_thread(scratch.remove_all_of, [task])

    async def resize(self, size: int) -> None:
        """Returns when new slots are open; slots too many leave when they have finished."""
        _check_size(size)
        async with self._resizing:
            if self._closed:
                raise PoolClosed("The workers are stopping")
            self._size = size
            staying = [slot for slot in self._slots.values() if not slot.leaving]
            for slot in sorted(staying, key=lambda s: (s.load, -s.number))[: len(staying) - size]:
                slot.leave()
            for _ in range(size - len(staying)):
                await self._open_slot()

    async def drain(self, grace_s: float) -> None:
        """Take no more; give back at once what has not begun; let what runs finish within
        `grace_s`, then kill and give back. Outputs stay until the consumer has taken them;
        everything else is gone from the slots' folders on return. Calling twice is fine.
        """
        if self._draining:
            await self._ended.wait()
            return
        self._closed = self._draining = True
        self._on_change()
        async with self._resizing:
            for slot in self._slots.values():
                slot.stop()
        if works := self._works():
            await asyncio.wait(works, timeout=grace_s)
        self.kill()
        while works := self._works():
            await asyncio.wait(works)
        await self._end()

    def kill(self) -> None:
        """SIGKILL every child now; whatever was in flight is lost through no fault of its own.

        A later `drain` clears up.
        """
        self._closed = True
        for slot in self._slots.values():
            slot.kill()

    def _works(self) -> set[asyncio.Task[None]]:
        """Everything that still goes on but the watcher."""
        return {task for task in self._tasks if task is not self._watcher}

    async def _end(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        await asyncio.to_thread(self._settings.hands.shutdown)
        await asyncio.to_thread(self._settings.spawner.shutdown)
        self._stream.end()
        self._ended.set()

    async def _open_slot(self) -> None:
        """Under the first number that neither a slot has nor outputs of one that left."""
        for number in count():
            scratch = Scratch(self._folder / str(number))
            if number not in self._slots and await asyncio.to_thread(scratch.make):
                break
        slot = Slot(number, scratch, self._settings)
        self._slots[number] = slot
        self._keep(self._keep_slot(slot), f"slot-{number}")
        self._on_change()

    async def _keep_slot(self, slot: Slot) -> None:
        try:
            await slot.run()
        finally:
            slot.leave()
            await slot.wait_gone()
            await asyncio.to_thread(slot.scratch.remove_if_empty)
            del self._slots[slot.number]

    async def _find_room(self, *, urgent: bool) -> Slot:
        """The slot where a bundle has the least to wait for."""
        while True:
            self._check_open()
            open_slots = [s for s in self._slots.values() if s.room(urgent=urgent)]
            if open_slots:
                return min(open_slots, key=lambda s: (s.delay(urgent=urgent), s.number))
            self._changed.clear()
            await self._changed.wait()

    def _check_open(self) -> None:
        """Raise what broke the pool, or PoolClosed."""
        if self._error is not None:
            raise self._error
        if self._closed:
            raise PoolClosed("The workers are stopping")

    async def _watch(self) -> None:
        """Look at every slot again and again while anything is under way."""
        last_s = monotonic()
        while True:
            if all(slot.is_quiet for slot in self._slots.values()):
                self._restless.clear()
                await self._restless.wait()
                last_s = monotonic()
            await asyncio.sleep(LOOK_EVERY_S)
            now_s = monotonic()
            for slot in self._slots.values():
                slot.look(min(now_s - last_s, _LONGEST_LOOK_S))
            last_s = now_s

    def _learn(self, greeting: Greeting) -> None:
        if self._formats is None:
            _log_confinement(greeting.confinement)
        self._formats = greeting.formats
        self._on_change()

    def _on_change(self) -> None:
        self._stream.nudge()
        self._changed.set()
        self._restless.set()

    def _keep(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        """A task that dies breaks the pool, loudly."""
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Exception):
            self._closed = True
            self._error = self._error or error
            self._stream.fail(error)
            self.kill()
            self._on_change()


def _check_size(size: int) -> None:
    if size < 1:
        raise ValueError("a pool has at least one slot")


def _empty(folder: Path) -> None:
    """Of slots: what else stands there is somebody's own."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    for path in folder.iterdir():
        if not is_slot(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, onerror=_refuse)
        else:
            path.unlink()


def _refuse(_call: object, path: str, failed: tuple[Any, Any, Any]) -> None:
    """Names the whole path, of which the error has the last part only. Raises OSError."""
    error: OSError = failed[1]
    if not isinstance(error, FileNotFoundError):
        raise OSError(error.errno, error.strerror, path) from error


def _open_threads(count: int, name: str) -> ThreadPoolExecutor:
    """All of them at once: later the system may have none left."""
    threads = ThreadPoolExecutor(count, thread_name_prefix=name)
    go_on = threading.Event()
    try:
        for _ in range(count):
            threads.submit(go_on.wait)
    finally:
        go_on.set()
    return threads


def _log_confinement(confinement: Confinement) -> None:
    if confinement.gaps:
        log.warning("workers_not_confined", gaps=confinement.gaps)
    else:
        log.info("workers_confined", landlock=confinement.landlock)


def _do_nothing() -> None:
    """There is nothing to warm up."""
