"""What a child gives up for good before it sees a byte that somebody sent.

Landlock leaves it its own slot and libraries to read; a filter of system calls refuses
sockets, programs and other processes. Each is used as far as the kernel has it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from pathlib import Path

from imgsvc.domain.confinement import Confinement, SandboxMode
from imgsvc.errors import ImgsvcError
from imgsvc.workers import landlock, limits, seccomp
from imgsvc.workers.landlock import Right
from imgsvc.workers.surroundings import READ, grant_reading
from imgsvc.workers.syscalls import find_machine

_SWITCHED_OFF = "Nothing is refused: workers.sandbox is off."
_NO_LANDLOCK = (
    "Files elsewhere are not out of reach: the kernel (5.13 or later) has no Landlock, or it is "
    "not in its list of security modules (lsm=)."
)
_OLD_LANDLOCK = "Inputs can be emptied: only Landlock of Linux 6.2 and later refuses that."
_OTHER_THREADS = "Files elsewhere are not out of reach of threads that ran before."
_NO_FILTER = "Sockets, programs and signals are not refused: the kernel has no seccomp filters."
_UNKNOWN_MACHINE = "Sockets, programs and signals are not refused: there is no filter for {}."

_REFUSES_EMPTYING_SINCE = 3

_KEPT_CAPABILITIES = 1 << 1
"""CAP_DAC_OVERRIDE: somebody else's file that a root server put into the slot stays readable."""

_CAPABILITY_VERSION = 0x20080522

_WRITE = (
    Right.READ_FILE | Right.READ_DIR | Right.WRITE_FILE | Right.TRUNCATE
    | Right.MAKE_REG | Right.REMOVE_FILE
)  # fmt: skip
_TAKE = READ | Right.REMOVE_FILE

_libc = ctypes.CDLL(None, use_errno=True)


class NotConfined(ImgsvcError):
    """Less can be refused than the settings ask for."""


def find_gaps() -> tuple[str, ...]:
    """What cannot be refused on this machine, a sentence each."""
    gaps = []
    version = landlock.get_version()
    if version < _REFUSES_EMPTYING_SINCE:
        gaps.append(_OLD_LANDLOCK if version else _NO_LANDLOCK)
    machine = find_machine()
    if machine is None:
        gaps.append(_UNKNOWN_MACHINE.format(platform.machine()))
    elif not seccomp.is_available(machine):
        gaps.append(_NO_FILTER)
    return tuple(gaps)


def protect_server() -> None:
    """For the server, before it starts workers. Where Landlock is missing, nothing else keeps them
    from its memory and its secrets in /proc.
    """
    if not landlock.get_version():
        limits.hide_memory()


def confine(mode: SandboxMode, written: Path, taken: Path) -> Confinement:
    """Confine this process; there is no way back.

    written: the folder in which files are made. taken: the one whose files are read, and
    removed, but never changed: they are links to somebody's own.
    Raises NotConfined where `mode` asks for more than there is.
    """
    if mode == "off":
        return Confinement(0, (_SWITCHED_OFF,))
    gaps = list(find_gaps())
    version = landlock.get_version()
    if version and not landlock.covers_all_threads(version) and _count_threads() > 1:
        gaps.append(_OTHER_THREADS)
    if gaps and mode == "required":
        raise NotConfined(" ".join(gaps))
    limits.forbid_new_privileges()
    if version:
        granted = grant_reading(written)
        landlock.restrict({**granted, str(written): _WRITE, str(taken): _TAKE}, version)
    _drop_capabilities()
    machine = find_machine()
    if machine is not None and seccomp.is_available(machine):
        seccomp.install(machine)
    return Confinement(version, tuple(gaps))


def _count_threads() -> int:
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - only counted


def _drop_capabilities() -> None:
    """A server that runs as root has workers that are root in name only."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    if _libc.capget(header, sets) != 0:
        raise _last_error()
    kept = sets[1] & _KEPT_CAPABILITIES
    sets[:] = [kept, kept, 0, 0, 0, 0]
    if _libc.capset(header, sets) != 0:
        raise _last_error()


def _last_error() -> OSError:
    error = ctypes.get_errno() or errno.EPERM
    return OSError(error, os.strerror(error))
