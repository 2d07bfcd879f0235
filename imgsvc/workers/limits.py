"""What a child does to itself so that it can do little harm (Linux)."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38

MAX_FILE_BYTES = 4 * 1024**3
"""Of a file that a child writes: what a TIFF can hold, and much more than other pictures do."""

MAX_OPEN_FILES = 256
"""A child has about ten, and three or four more while it works."""

OOM_SCORE = 500
"""Of 1000: when the machine has no memory left, the system kills workers before the server."""

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

_libc = ctypes.CDLL(None, use_errno=True)


class Memory(NamedTuple):
    """Of this process, as the kernel counts it."""

    address_space_bytes: int
    resident_bytes: int


class MemoryGauge:
    """Reads the process's memory through a file that stays open, a few microseconds each."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> Memory:
        size_pages, resident_pages = os.pread(self._statm, 128, 0).split()[:2]
        return Memory(int(size_pages) * _PAGE_BYTES, int(resident_pages) * _PAGE_BYTES)


def die_with_parent(parent_pid: int) -> None:
    """Be killed when the thread that started this process ends, however it ends.

    A parent that died before the call sent no signal: then this process leaves by itself.
    """
    _set_option(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent_pid:
        os._exit(1)


def ignore_stop_signals() -> None:
    """A terminal or systemd signals the whole group; only the parent decides what follows."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def die_first() -> None:
    """Where memory runs out; never less than was said from outside. Nothing where that cannot be
    said. To be called while /proc is still the process's own.
    """
    with suppress(OSError):
        path = Path("/proc/self/oom_score_adj")
        if int(path.read_text()) < OOM_SCORE:
            path.write_text(str(OOM_SCORE))


def forbid_core_dumps() -> None:
    """Pixels of customers belong in no dump. One that is piped into a program knows no limit
    on its size: hence the option, which also keeps other processes from tracing this one.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hide_memory()


def hide_memory() -> None:
    """Other processes of the same user may not trace this one, nor read its memory and its
    variables in /proc. Root still may.
    """
    _set_option(_PR_SET_DUMPABLE, 0)


def limit_files() -> None:
    """Of what size, and how many at a time; never more than is allowed from outside.

    Python ignores the signal that comes with the first limit: a write fails with EFBIG.
    """
    _lower(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
    _lower(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)


def forbid_new_privileges() -> None:
    """No program that is started may have more rights than this process: what Landlock and
    seccomp ask for first.
    """
    _set_option(_PR_SET_NO_NEW_PRIVS, 1)


def _lower(which: int, limit: int) -> None:
    _, hard = resource.getrlimit(which)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(which, (limit, limit))


def _set_option(option: int, value: int) -> None:
    arguments = (ctypes.c_ulong(argument) for argument in (value, 0, 0, 0))
    if _libc.prctl(option, *arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def bound_address_space(most_bytes: int) -> None:
    """What `limit_address_space` and others may set from now on, at most."""
    _lower(resource.RLIMIT_AS, most_bytes)


def limit_address_space(limit_bytes: int) -> None:
    """Set the soft limit, never above the hard one."""
    _, hard_bytes = resource.getrlimit(resource.RLIMIT_AS)
    if hard_bytes != resource.RLIM_INFINITY:
        limit_bytes = min(limit_bytes, hard_bytes)
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, hard_bytes))


def return_free_memory() -> None:
    """Give what malloc keeps for later back to the system; glibc only, elsewhere nothing."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
