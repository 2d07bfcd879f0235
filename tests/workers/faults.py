"""Renderers that do to their worker what the input file says; children import this module."""

from __future__ import annotations

import ctypes
import errno
import gc
import hashlib
import itertools
import mmap
import os
import signal
import struct
import sys
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing.queues import Queue
from pathlib import Path

from imgsvc.domain.rendering import (
    InputFacts,
    NeedsMemory,
    Outcome,
    OutputFacts,
    Rendered,
    RenderFailed,
    RenderTask,
    output_path,
)
from imgsvc.recipes.model import load_recipe
from imgsvc.workers import child
from imgsvc.workers.answers import AnswerQueue
from imgsvc.workers.notes import NO_TASK, TaskMark
from imgsvc.workers.scratch import NO_SPACE

GLIB_CRY = "GLib-ERROR **: 12:00:00.000: gmem.c:106: failed to allocate 99 bytes"


DYING = "IMGSVC_TEST_DYING"

MANY = tuple(f"v{number}" for number in range(32))
"""Variants of which no small message holds the facts."""


def render(task: RenderTask) -> Outcome:
    """The first word of the input names what happens, the rest is for it."""
    word, _, rest = Path(task.input_path).read_text().partition(" ")
    return _DEEDS[word](task, rest)


def die_at_once() -> None:
    """A warm-up that never succeeds."""
    sys.stderr.write("no such library")
    os._exit(3)


def die_if_told() -> None:
    """A warm-up that goes wrong from some moment on."""
    if DYING in os.environ:
        die_at_once()


def never_end() -> None:
    """A warm-up that takes for ever."""
    signal.pause()


def keep_open(*paths: str) -> None:
    """A warm-up: a confined child reaches nothing outside its slot but what is open already."""
    for path in paths:
        if Path(path).exists():
            _kept_open[path] = os.open(path, os.O_RDWR | os.O_APPEND)


def make_output(task: RenderTask, content: str) -> Rendered:
    """The same bytes for every variant that is asked for."""
    data = content.encode() * 10
    digest = hashlib.sha256(data).hexdigest()
    facts = []
    for variant in load_recipe(task.recipe).variants:
        format_ = "png" if variant.format == "same" else variant.format
        Path(output_path(task.output_prefix, variant.name, format_)).write_bytes(data)
        facts.append(OutputFacts(variant.name, format_, 1, 1, 1, len(data), digest))
    return Rendered(InputFacts("png", 1, 1, 1), tuple(facts), (), 1)


def make_many(task: RenderTask, content: str) -> Rendered:
    """Facts that no small message holds."""
    facts = tuple(
        OutputFacts(name, "png", 1, 1, 1, n, hashlib.sha256(bytes([n])).hexdigest())
        for n, name in enumerate(MANY)
    )
    return Rendered(InputFacts("png", 1, 1, 1), facts, (), 1)


def stray(task: RenderTask, content: str) -> Rendered:
    """Names a variant that the recipe lacks."""
    made = make_output(task, content)
    return replace(made, outputs=tuple(replace(one, variant="zzz") for one in made.outputs))


def crash(task: RenderTask, _: str) -> Outcome:
    leave_half_an_output(task)
    os.kill(os.getpid(), signal.SIGSEGV)
    return hang(task, _)


def leave(task: RenderTask, _: str) -> Outcome:
    leave_half_an_output(task)
    os._exit(0)


def abort(task: RenderTask, _: str) -> Outcome:
    leave_half_an_output(task)
    os.abort()


def take_locks(task: RenderTask, _: str) -> Outcome:
    """All that the parent might wait for, and then die."""
    for queue in gc.get_objects():
        if isinstance(queue, Queue):
            queue._wlock.acquire()  # type: ignore[attr-defined]
            queue._sem.acquire()  # type: ignore[attr-defined]
    return kill_itself(task, _)


def answer_by_half(task: RenderTask, _: str) -> Outcome:
    """Announce a message of 1000 bytes, send six of them and die."""
    for queue in gc.get_objects():
        if isinstance(queue, AnswerQueue):
            os.write(queue._writer.fileno(), struct.pack("!i", 1000) + b"7 repo")  # type: ignore[attr-defined]
    return kill_itself(task, _)


def babble(task: RenderTask, rest: str) -> Outcome:
    """Answer what nobody has asked."""
    for queue in gc.get_objects():
        if isinstance(queue, AnswerQueue):
            queue._writer.send_bytes(b"4711 file\n")  # type: ignore[attr-defined]
    return make_output(task, rest)


def fill_calls(task: RenderTask, _: str) -> Outcome:
    """Leave the parent no room in the pipe of calls, and die when it has sent one more."""
    for queue in gc.get_objects():
        if isinstance(queue, Queue):
            os.set_blocking(queue._writer.fileno(), False)  # type: ignore[attr-defined]
            with suppress(BlockingIOError):
                while True:
                    os.write(queue._writer.fileno(), bytes(4096))  # type: ignore[attr-defined]
            os.set_blocking(queue._writer.fileno(), True)  # type: ignore[attr-defined]
    return wait_for_gate(task, _) and kill_itself(task, _)


def hide(task: RenderTask, _: str) -> Outcome:
    """Die, and never have begun."""
    vars(child)["_child"]._notes.write_mark(NO_TASK)
    os._exit(1)


def stray_about(task: RenderTask, fifo: str) -> Outcome:
    """Let through, never end, and say all the time that another task has begun."""
    wait_for_gate(task, fifo)
    notes = vars(child)["_child"]._notes
    ordinal = notes.read_mark().ordinal
    for position in itertools.cycle(range(60_000)):
        notes.write_mark(TaskMark(ordinal + position % 2, position))
        time.sleep(0.001)
    raise AssertionError


def find_no_space(task: RenderTask, _: str) -> Outcome:
    return RenderFailed(NO_SPACE, None, 0)


def alternate(task: RenderTask, _: str) -> Outcome:
    """Crash and find no space, by turns."""
    return crash(task, _) if task.key.claim % 2 else find_no_space(task, _)


def ask_for_more(task: RenderTask, _: str) -> Outcome:
    """Always one byte more than there is."""
    return NeedsMemory(task.memory_bytes + 1)


def shirk(task: RenderTask, rest: str) -> Outcome:
    """Leave all others undone."""
    vars(child)["_child"]._may_begin = lambda *_, **__: False
    return make_output(task, rest)


def put_off(task: RenderTask, fifo: str) -> Outcome:
    """Leave the next bundle undone, whatever was asked for."""
    this = vars(child)["_child"]

    def refuse(*_: object, **__: object) -> bool:
        del this._may_begin
        return False

    this._may_begin = refuse
    return wait_for_gate(task, fifo)


def kill_itself(task: RenderTask, _: str) -> Outcome:
    os.kill(os.getpid(), signal.SIGKILL)
    return hang(task, _)


def kill_server(task: RenderTask, once_there: str) -> Outcome:
    """Take the whole server down, as soon as there is that file."""
    while not Path(once_there).exists():
        time.sleep(0.01)
    if (server := os.getppid()) > 1:  # else somebody else was quicker
        os.kill(server, signal.SIGKILL)
    return hang(task, "")


def take_long(task: RenderTask, seconds: str) -> Outcome:
    time.sleep(float(seconds))
    return make_output(task, "late")


def abort_for_memory(task: RenderTask, _: str) -> Outcome:
    os.write(2, GLIB_CRY.encode())
    os.abort()


def write_then_crash(task: RenderTask, text: str) -> Outcome:
    os.write(2, text.encode())
    return crash(task, text)


def complain(task: RenderTask, _: str) -> Outcome:
    """Says what would mean out of memory, and lives."""
    os.write(2, GLIB_CRY.encode())
    os.write(1, b"noise on stdout")
    return make_output(task, "fine")


def hang(task: RenderTask, _: str) -> Outcome:
    leave_half_an_output(task)
    while True:
        signal.pause()


def hog(task: RenderTask, _: str) -> Outcome:
    leave_half_an_output(task)
    kept = []
    while True:
        kept.append(bytes(64 * 1024**2))


def grow(task: RenderTask, mebibytes: str) -> Outcome:
    """Keep memory, as a leak does."""
    _leak.append(b"x" * int(mebibytes) * 1024**2)
    return make_output(task, "grown")


def reserve(task: RenderTask, mebibytes: str) -> Outcome:
    """Address space that is never touched, as decoders do."""
    with mmap.mmap(-1, int(mebibytes) * 1024**2, mmap.MAP_PRIVATE):
        return make_output(task, "reserved")


def fail(task: RenderTask, _: str) -> Outcome:
    leave_half_an_output(task)
    raise ValueError("a defect of ours")


def ask_for_memory(task: RenderTask, cost: str) -> Outcome:
    """As long as the task may not use that much."""
    return make_output(task, "big") if task.memory_bytes >= int(cost) else NeedsMemory(int(cost))


def wait_for_gate(task: RenderTask, fifo: str) -> Outcome:
    """Go on when there is a byte to take. Blanks after its name make the image larger."""
    fifo = fifo.rstrip()
    if fifo in _kept_open:
        os.read(_kept_open[fifo], 1)
    else:
        descriptor = os.open(fifo, os.O_RDONLY)
        os.read(descriptor, 1)
        os.close(descriptor)
    return make_output(task, "through")


def keep_a_diary(task: RenderTask, diary: str) -> Outcome:
    """Write down beginning and end, with a few milliseconds of work between them."""
    name = _begin_in_diary(task, diary)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 5000)
    done = make_output(task, "done")
    os.write(_kept_open[diary], f"{name}.done\n".encode())
    return done


def wait_to_be_killed(task: RenderTask, files: str) -> Outcome:
    """When first begun: write that down and, for who is to do it, the process. Any later try only
    keeps a diary.
    """
    diary, fifo = files.split()
    written = os.pread(_kept_open[diary], 1 << 20, 0).splitlines()
    if any(line.startswith(f"{task.key.index}-".encode()) for line in written):
        return keep_a_diary(task, diary)
    _begin_in_diary(task, diary)
    os.write(_kept_open[fifo], f"{os.getpid()}\n".encode())
    while True:
        signal.pause()


def _begin_in_diary(task: RenderTask, diary: str) -> str:
    name = f"{task.key.index}-{task.key.claim}"
    os.write(_kept_open[diary], f"{name}.begun\n".encode())
    return name


def tell_about_me(task: RenderTask, _: str) -> Outcome:
    umask = os.umask(0o077)
    libc = ctypes.CDLL(None)
    death_signal = ctypes.c_int()
    libc.prctl(2, ctypes.byref(death_signal), 0, 0, 0)
    facts = [
        os.getpid(),
        umask,
        death_signal.value,
        os.environ["MALLOC_ARENA_MAX"],
        os.environ["VIPS_CONCURRENCY"],
        *(int(signal.getsignal(n) is signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGINT)),
    ]
    return make_output(task, ",".join(map(str, facts)) + "\n")


def leave_half_an_output(task: RenderTask) -> None:
    Path(f"{task.output_prefix}-only.png.part").write_bytes(b"half")


_leak: list[bytes] = []
_kept_open: dict[str, int] = {}


def _tell_without_space(task: RenderTask, rest: str) -> Outcome:
    """The output is written, and then there is no space for the report, once."""
    names = vars(child)
    ship = names["ship"]

    def refuse(*_: object) -> None:
        names["ship"] = ship
        raise OSError(errno.ENOSPC, "No space left on device")

    names["ship"] = refuse
    return make_output(task, rest)


_DEEDS = {
    "tell-without-space": _tell_without_space,
    "ok": make_output,
    "many": make_many,
    "stray": stray,
    "crash": crash,
    "leave": leave,
    "abort": abort,
    "hide": hide,
    "stray-about": stray_about,
    "shirk": shirk,
    "put-off": put_off,
    "ask-for-more": ask_for_more,
    "find-no-space": find_no_space,
    "alternate": alternate,
    "take-locks": take_locks,
    "answer-by-half": answer_by_half,
    "babble": babble,
    "fill-calls": fill_calls,
    "kill-itself": kill_itself,
    "kill-server": kill_server,
    "take-long": take_long,
    "abort-for-memory": abort_for_memory,
    "write-then-crash": write_then_crash,
    "complain": complain,
    "hang": hang,
    "hog": hog,
    "grow": grow,
    "reserve": reserve,
    "raise": fail,
    "needs-memory": ask_for_memory,
    "gate": wait_for_gate,
    "tell": tell_about_me,
    "diary": keep_a_diary,
    "victim": wait_to_be_killed,
}
