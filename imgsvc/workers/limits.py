"""What a child does to itself so that it can do little harm (Linux)."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from typing import NamedTuple

_PR_SET_PDEATHSIG = 1
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
    if _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    if os.getppid() != parent_pid:
        os._exit(1)


def ignore_stop_signals() -> None:
    """A terminal or systemd signals the whole group; only the parent decides what follows."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def forbid_core_dumps() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_address_space(limit_bytes: int) -> None:
    """Set the soft limit, never above a hard one set from outside."""
    _, hard_bytes = resource.getrlimit(resource.RLIMIT_AS)
    if hard_bytes != resource.RLIM_INFINITY:
        limit_bytes = min(limit_bytes, hard_bytes)
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, hard_bytes))


def return_free_memory() -> None:
    """Give what malloc keeps for later back to the system; glibc only, elsewhere nothing."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
