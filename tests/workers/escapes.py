"""A renderer that tries what its input says, and reports what became of it.

The input is JSON: a list of [what, argument]; the output says for each "done" or the name of
the error. Children import this module.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import mmap
import os
import pickle
import resource
import signal
import socket
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from imgsvc.domain.rendering import (
    InputFacts,
    Outcome,
    OutputFacts,
    Rendered,
    RenderTask,
    output_path,
)
from imgsvc.workers import answers, child, landlock

_X32 = 1 << 30
_PTRACE_ATTACH = 16
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_IO_URING_SETUP = 425
_F_SETOWN_EX = 15
_SIGEV_THREAD_ID = 4
_AT_FDCWD, _AT_EMPTY_PATH, _RENAME_EXCHANGE = -100, 0x1000, 2

_libc = ctypes.CDLL(None, use_errno=True)


def render(task: RenderTask) -> Outcome:
    wishes = json.loads(Path(task.input_path).read_text())
    results = [_attempt(task, what, argument) for what, argument in wishes]
    data = json.dumps(results).encode()
    Path(output_path(task.output_prefix, "only", "png")).write_bytes(data)
    fact = OutputFacts("only", "png", 1, 1, 1, len(data), hashlib.sha256(data).hexdigest())
    return Rendered(InputFacts("png", 1, 1, 1), (fact,), (), 1)


def _attempt(task: RenderTask, what: str, argument: Any) -> object:
    try:
        result = _ATTEMPTS[what](task, argument)
    except OSError as exc:
        return errno.errorcode[exc.errno or 0]
    except ValueError:  # `resource` makes one of EPERM
        return "EPERM"
    return "done" if result is None else result


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _read(_: RenderTask, path: str) -> None:
    with Path(path).open("rb") as file:
        file.read(1)


def _read_in_a_thread(task: RenderTask, path: str) -> str:
    said: list[object] = []
    thread = threading.Thread(target=lambda: said.append(_attempt(task, "read", path)))
    thread.start()
    thread.join()
    return str(said[0])


def _write(_: RenderTask, path: str) -> None:
    Path(path).write_bytes(b"x")


def _append(_: RenderTask, path: str) -> None:
    with Path(path).open("ab") as file:
        file.write(b"x")


def _make_own(task: RenderTask) -> Path:
    own = Path(f"{task.output_prefix}-own")
    own.write_bytes(b"own")
    return own


def _write_input(task: RenderTask, _: object) -> None:
    _append(task, task.input_path)


def _empty_input(task: RenderTask, _: object) -> None:
    os.close(os.open(task.input_path, os.O_RDONLY | os.O_TRUNC))


def _open_socket(_: RenderTask, argument: list[int]) -> None:
    socket.socket(*argument).close()


def _spawn(_: RenderTask, path: str) -> None:
    pid = os.posix_spawn(path, [path], {})
    os.waitpid(pid, 0)


def _fork(_: RenderTask, __: object) -> None:
    if not os.fork():
        os._exit(0)


def _read_memory(_: RenderTask, pid: int) -> None:
    buffer = ctypes.create_string_buffer(8)
    part = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    _check(_libc.process_vm_readv(pid, part, 1, part, 1, 0))


def _call(_: RenderTask, numbers: list[int]) -> None:
    _check(_libc.syscall(*(ctypes.c_long(number) for number in numbers)))


def _command(_: RenderTask, argument: list[int]) -> None:
    """Of fcntl, to a pipe."""
    number, value = argument
    reader, writer = os.pipe()
    try:
        given = struct.pack("ii", 1, value) if number == _F_SETOWN_EX else value
        fcntl.fcntl(reader, number, given)
    finally:
        os.close(reader)
        os.close(writer)


def _signal_by_a_pipe(_: RenderTask, pid: int) -> None:
    """What the pipe is told in order to signal whoever owns it, when a byte comes."""
    reader, writer = os.pipe()
    try:
        fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
        fcntl.fcntl(reader, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
        os.write(writer, b"x")
    finally:
        os.close(reader)
        os.close(writer)


def _control(_: RenderTask, request: int) -> None:
    """Of ioctl, to a pipe."""
    reader, writer = os.pipe()
    try:
        fcntl.ioctl(reader, request, b"x")
    finally:
        os.close(reader)
        os.close(writer)


def _write_memory(_: RenderTask, pid: int) -> None:
    buffer = ctypes.create_string_buffer(8)
    part = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    _check(_libc.process_vm_writev(pid, part, 1, part, 1, 0))


def _hold_in_memory(_: RenderTask, name: str) -> None:
    os.close(os.memfd_create(name))


def _run_what_is_open(task: RenderTask, number: int) -> None:
    """number: of execveat."""
    program = os.open(_make_own(task), os.O_RDONLY)
    try:
        nothing = ctypes.c_void_p()
        _check(_libc.syscall(number, program, b"", nothing, nothing, _AT_EMPTY_PATH))
    finally:
        os.close(program)


def _signal_by_a_timer(_: RenderTask, pid: int) -> None:
    event = struct.pack("Piii44x", 0, int(signal.SIGURG), _SIGEV_THREAD_ID, pid)
    _check(_libc.timer_create(time.CLOCK_MONOTONIC, event, ctypes.byref(ctypes.c_void_p())))


def _reopen_input(task: RenderTask, _: object) -> None:
    with Path(task.input_path).open("rb") as file:
        os.close(os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDWR))


def _map_input(task: RenderTask, _: object) -> None:
    with Path(task.input_path).open("rb") as file:
        mmap.mmap(file.fileno(), 1, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE).close()


def _move_input(task: RenderTask, _: object) -> None:
    Path(task.input_path).rename(f"{task.output_prefix}-input")


def _swap_input(task: RenderTask, _: object) -> None:
    paths = os.fsencode(task.input_path), os.fsencode(_make_own(task))
    _check(_libc.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE))


def _raise_limit(_: RenderTask, __: object) -> None:
    unlimited = resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))


def _raise_memory_limit(_: RenderTask, wanted_bytes: list[int]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (wanted_bytes[0], wanted_bytes[1]))


def _write_too_much(task: RenderTask, _: object) -> None:
    with _make_own(task).open("r+b") as file:
        file.seek(resource.getrlimit(resource.RLIMIT_FSIZE)[0])
        file.write(b"x")
        file.flush()


def _open_many(task: RenderTask, _: object) -> None:
    own, opened = _make_own(task), []
    try:
        for _turn in range(1000):
            opened.append(own.open("rb"))  # noqa: PERF401 - what is open has to be closed
    finally:
        for file in opened:
            file.close()


def _list_descriptors(_: RenderTask, __: object) -> list[list[int]]:
    """Kind, device and inode of everything that is open."""
    found = []
    for number in range(256):
        try:
            facts = os.fstat(number)
        except OSError:
            continue
        found.append([number, stat.S_IFMT(facts.st_mode), facts.st_dev, facts.st_ino])
    return found


def _cut_shared_memory(_: RenderTask, size_bytes: int) -> None:
    """Of every file without a name that is as long as the notes."""
    for number in range(256):
        try:
            facts = os.fstat(number)
        except OSError:
            continue
        if stat.S_ISREG(facts.st_mode) and not facts.st_nlink and facts.st_size == mmap.PAGESIZE:
            os.ftruncate(number, size_bytes)


def _write_temporary(_: RenderTask, __: object) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"x")


def _tell_time(_: RenderTask, zone: str) -> str:
    os.environ["TZ"] = zone
    time.tzset()
    return time.tzname[0]


def _import(_: RenderTask, name: str) -> None:
    import_module(name)


class _Evil:
    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (self._path,)


def _lie_in_report(_: RenderTask, path: str) -> None:
    _ship_otherwise(lambda *_: pickle.dumps(_Evil(path)))


def _lie_in_file(_: RenderTask, path: str) -> None:
    _ship_otherwise(lambda _, __, spill: spill.write_bytes(pickle.dumps(_Evil(path))) and None)


def _lie_in_envelope(_: RenderTask, path: str) -> None:
    def write_answer(_: object) -> bytes:
        return pickle.dumps(_Evil(path))

    setattr(answers, "write_answer", write_answer)  # noqa: B010 - a function gives way


def _ship_otherwise(ship: Callable[[bytes, int, Path], object]) -> None:
    setattr(child, "ship", ship)  # noqa: B010 - what it replaces has a finer type


def lose_landlock() -> None:
    """A warm-up: the kernel has none."""
    landlock.get_version = lambda: 0


def start_a_thread() -> None:
    """A warm-up that leaves one running."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()


_ATTEMPTS: dict[str, Callable[[RenderTask, Any], object]] = {
    "read": _read,
    "read in a thread": _read_in_a_thread,
    "list": lambda _, path: list(Path(path).iterdir()) and None,
    "write": _write,
    "append": _append,
    "make a folder": lambda _, path: Path(path).mkdir(),
    "remove": lambda _, path: Path(path).unlink(),
    "move there": lambda task, path: _make_own(task).rename(path) and None,
    "link there": lambda task, path: os.link(_make_own(task), path),
    "link here": lambda task, path: os.link(path, f"{task.output_prefix}-linked"),
    "point there": lambda task, path: Path(f"{task.output_prefix}-to").symlink_to(path),
    "make a pipe here": lambda task, _: os.mkfifo(f"{task.output_prefix}-pipe"),
    "make a device": lambda task, _: os.mknod(f"{task.output_prefix}-null", 0o20600, 0x103),
    "make a folder here": lambda task, _: Path(f"{task.output_prefix}-folder").mkdir(),
    "change the mode": lambda _, path: Path(path).chmod(0o777),
    "change the owner": lambda _, path: os.chown(path, os.getuid(), os.getgid()),
    "change the time": lambda _, path: os.utime(path, (0, 0)),
    "change attributes": lambda _, path: os.setxattr(path, "user.x", b"x"),
    "truncate": lambda _, path: os.truncate(path, 0),
    "write the input": _write_input,
    "empty the input": _empty_input,
    "open a socket": _open_socket,
    "open a pair of sockets": lambda _, __: socket.socketpair() and None,
    "connect": lambda _, port: closing(socket.create_connection(("127.0.0.1", port))) and None,
    "execute": lambda _, path: os.execv(path, [path]),  # noqa: S606
    "spawn": _spawn,
    "fork": _fork,
    "trace": lambda _, pid: _check(_libc.ptrace(_PTRACE_ATTACH, pid, None, None)),
    "read memory": _read_memory,
    "signal": lambda _, pid: os.kill(pid, 0),
    "signal by a pipe": _signal_by_a_pipe,
    "command": _command,
    "signal a thread": lambda _, pid: _call(_, [234, pid, pid, 0]),
    "open a process": lambda _, pid: os.close(os.pidfd_open(pid)),
    "limit": lambda _, pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) and None,
    "slow down": lambda _, pid: os.setpriority(os.PRIO_PROCESS, pid, 19),
    "be another user": lambda _, __: _check(_libc.unshare(_CLONE_NEWUSER)),
    "outlive": lambda _, __: _check(_libc.prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)),
    "call": _call,
    "control": _control,
    "write memory": _write_memory,
    "hold in memory": _hold_in_memory,
    "run what is open": _run_what_is_open,
    "signal by a timer": _signal_by_a_timer,
    "reopen the input": _reopen_input,
    "map the input": _map_input,
    "move the input": _move_input,
    "swap the input": _swap_input,
    "raise a limit": _raise_limit,
    "raise the limit on memory": _raise_memory_limit,
    "tell the limit on memory": lambda _, __: resource.getrlimit(resource.RLIMIT_AS)[1],
    "write too much": _write_too_much,
    "open many": _open_many,
    "list descriptors": _list_descriptors,
    "list variables": lambda _, __: sorted(os.environ),
    "cut shared memory": _cut_shared_memory,
    "write temporary": _write_temporary,
    "tell time": _tell_time,
    "import": _import,
    "lie in the report": _lie_in_report,
    "lie in a file": _lie_in_file,
    "lie in the envelope": _lie_in_envelope,
}
