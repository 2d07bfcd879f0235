"""The child's side: what runs inside a worker process."""

from __future__ import annotations

import faulthandler
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgsvc.domain.confinement import Confinement, SandboxMode
from imgsvc.domain.formats import Formats
from imgsvc.domain.rendering import Failure, Outcome, RenderFailed, RenderTask
from imgsvc.errors import ImageErrorCode
from imgsvc.files.errnos import is_disk_full
from imgsvc.workers import limits, surroundings
from imgsvc.workers.last_task import LastTask
from imgsvc.workers.notes import Notes, TaskMark
from imgsvc.workers.parcel import REPORT_BYTES, ship, unpack
from imgsvc.workers.report import MAX_TRACEBACK, BundleReport, Greeting, write_report
from imgsvc.workers.sandbox import confine
from imgsvc.workers.scratch import NO_SPACE, ProcessFiles, Scratch, remove_inputs

Render = Callable[[RenderTask], Outcome]
WarmUp = Callable[[], Formats | None]

_RESERVED_BYTES = 1152 * 1024**2
"""Decoders, encoders and thread stacks reserve much that they never touch: libvips the whole canvas
of a WebP when it reads the header, also of one that has too many pixels, or that it shrinks while
it is decoded. That of the largest there can be, 16 383 pixels square, takes 1 GiB.
"""

_TRIM_AFTER_BYTES = 64 * 1024**2


_KEPT_ADDRESS_SPACE_BYTES = 1024**3
"""What a worker may keep reserved from one image to the next: heaps, stacks of threads."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What all children of a pool are given.

    warm_up: called once before the first task, to import what rendering needs, and to say
        what can be read and written.
    sandbox: how far they have to shut themselves in.
    memory_bytes: what a single task may cost at most.
    """

    render: Render
    warm_up: WarmUp
    sandbox: SandboxMode
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """What a child needs to know from birth.

    folder: of the slot. files: its own there.
    """

    notes: Notes
    parent_pid: int
    folder: Path
    files: ProcessFiles
    equipment: Equipment


def render_image(task: RenderTask) -> Outcome:
    from imgsvc.imaging.render import render

    return render(task)


def import_imaging() -> Formats:
    """Load libvips before the first image waits for it, and say what it can do."""
    import imgsvc.imaging.render  # noqa: F401
    from imgsvc.imaging.formats import list_formats

    return list_formats()


class _Child:
    def __init__(self, settings: ChildSettings) -> None:
        self.greeting = Greeting(Formats(), Confinement(0))
        self._notes = settings.notes
        self._scratch = Scratch(settings.folder)
        self._last_task = LastTask(settings.files.task)
        self._render = settings.equipment.render
        self._gauge = limits.MemoryGauge()
        limits.bound_address_space(
            self._gauge.read().address_space_bytes
            + _extra_bytes(settings.equipment.memory_bytes)
            + _KEPT_ADDRESS_SPACE_BYTES
        )
        self._trim_above_bytes = self._gauge.read().resident_bytes + _TRIM_AFTER_BYTES

    def confine(self, formats: Formats, mode: SandboxMode) -> None:
        """From now on there are only the slot's two folders. Raises NotConfined."""
        confinement = confine(mode, self._scratch.folder, self._scratch.inputs)
        self.greeting = Greeting(formats, confinement)

    def run_bundle(self, ordinal: int, parcel: bytes | None, *, makes_way: bool) -> bytes | None:
        tasks: tuple[RenderTask, ...] = unpack(parcel, self._scratch.call_path(ordinal))
        outcomes: list[Outcome] = []
        tracebacks: dict[int, str] = {}
        for position, task in enumerate(tasks):
            if not self._may_begin(TaskMark(ordinal, position), makes_way=makes_way):
                self._scratch.remove_all_of(tasks[position:])
                break
            outcome, trace = self._run_task(task)
            if isinstance(outcome, RenderFailed) and not self._scratch.is_there:
                os._exit(1)  # whatever it says, somebody has removed the folders
            outcomes.append(outcome)
            if trace:
                tracebacks[position] = trace
        report = BundleReport(tuple(outcomes), tracebacks, self._settle_memory())
        data = write_report(report)
        try:
            return ship(data, REPORT_BYTES, self._scratch.report_path(ordinal))
        except OSError as exc:
            if not is_disk_full(exc):
                raise
        return self._report_no_space(tasks[: len(outcomes)], ordinal)

    def _report_no_space(self, tasks: Sequence[RenderTask], ordinal: int) -> bytes | None:
        """What was made cannot even be told: it is as if it had found no space itself."""
        self._scratch.remove_all_of(tasks)
        report_path = self._scratch.report_path(ordinal)
        report_path.unlink(missing_ok=True)
        outcomes = tuple(RenderFailed(NO_SPACE, None, 0) for _ in tasks)
        report = BundleReport(outcomes, {}, self._settle_memory())
        return ship(write_report(report), REPORT_BYTES, report_path)

    def _may_begin(self, mark: TaskMark, *, makes_way: bool) -> bool:
        if makes_way and self._notes.must_yield(mark.ordinal):
            return False
        self._notes.write_mark(mark)
        return not self._notes.stop_asked

    def _run_task(self, task: RenderTask) -> tuple[Outcome, str | None]:
        """The task boundary: whatever Python can catch becomes an outcome."""
        _empty_stderr()
        self._last_task.note(task)
        address_space_bytes = self._gauge.read().address_space_bytes
        limits.limit_address_space(address_space_bytes + _extra_bytes(task.memory_bytes))
        began_s = time.monotonic()
        try:
            outcome = self._render(task)
        except MemoryError:
            failure = Failure(
                ImageErrorCode.OUT_OF_MEMORY, "The image needs more memory than it may use"
            )
            return self._fail(task, failure, began_s), None
        except Exception:  # noqa: BLE001 - the task boundary: one image must not end the others
            failure = Failure(ImageErrorCode.INTERNAL, "Something went wrong inside the worker")
            return self._fail(task, failure, began_s), traceback.format_exc()[-MAX_TRACEBACK:]
        remove_inputs(task)
        return outcome, None

    def _fail(self, task: RenderTask, failure: Failure, began_s: float) -> RenderFailed:
        self._scratch.remove_all_of([task])
        return RenderFailed(failure, None, round((time.monotonic() - began_s) * 1000))

    def _settle_memory(self) -> int:
        """Resident bytes, after a large image's memory has been given back."""
        resident_bytes = self._gauge.read().resident_bytes
        if resident_bytes > self._trim_above_bytes:
            limits.return_free_memory()
            resident_bytes = self._gauge.read().resident_bytes
            self._trim_above_bytes = resident_bytes + _TRIM_AFTER_BYTES
        return resident_bytes


def _extra_bytes(memory_bytes: int) -> int:
    """Address space for a task that may use so much memory."""
    return 2 * memory_bytes + _RESERVED_BYTES


_child: _Child | None = None
"""An executor's calls reach nothing but what is global in its process."""


def begin(settings: ChildSettings) -> None:
    """The initializer: what it raises ends the process.

    Libraries are loaded first, with all that they look for; none has threads yet, and nothing
    that somebody sent has been looked at. Then the process is confined.
    """
    global _child
    _capture_output(settings.files.stderr)
    limits.ignore_stop_signals()
    limits.die_with_parent(settings.parent_pid)
    limits.die_first()
    limits.forbid_core_dumps()
    limits.limit_files()
    os.umask(0o077)
    os.environ["TMPDIR"] = str(settings.folder)
    faulthandler.enable()
    formats = settings.equipment.warm_up() or Formats()
    surroundings.drop_descriptors()
    surroundings.forget_environment()
    child = _Child(settings)
    child.confine(formats, settings.equipment.sandbox)
    _child = child


def report_ready() -> Greeting:
    """The first call: it returns once `begin` is done."""
    return _get_child().greeting


def run_bundle(ordinal: int, parcel: bytes | None, makes_way: bool) -> bytes | None:
    """Carry out a parcel of RenderTasks; the answer is a BundleReport in JSON, or
    None when it stands in a file.
    """
    return _get_child().run_bundle(ordinal, parcel, makes_way=makes_way)


def _get_child() -> _Child:
    if _child is None:
        raise RuntimeError("the child has not begun")
    return _child


def _capture_output(path: Path) -> None:
    """Native code writes to descriptors 1 and 2; neither may reach the parent's own."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as exc:
        if not is_disk_full(exc):
            raise
        descriptor = os.open(os.devnull, os.O_WRONLY)  # it is of use only after a crash
    sys.stdout.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _empty_stderr() -> None:
    """What stands there when the child dies was then said by the task that ran."""
    if os.fstat(2).st_size:
        os.ftruncate(2, 0)
