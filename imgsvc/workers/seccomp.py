"""A filter of system calls, installed for good (seccomp(2)).

It names what is refused and lets the rest pass: C libraries differ in the calls that they
live on, and a list of those would break with the next one. A refused call fails with EPERM,
so that Python raises and the image fails, not the worker.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from struct import pack

from imgsvc.workers.syscalls import LAST, Machine

_REFUSED = """
socket socketpair connect bind listen accept accept4 sendto sendmsg sendmmsg
execve execveat uselib fork vfork unshare setns
ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp
pidfd_open pidfd_getfd pidfd_send_signal
setpriority ioprio_set sched_setparam sched_setscheduler sched_setaffinity sched_setattr
migrate_pages move_pages capset
chmod fchmod fchmodat chown fchown lchown fchownat
setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
utime utimes utimensat futimesat truncate
link linkat symlink symlinkat mkdir mkdirat mknod mknodat name_to_handle_at open_by_handle_at
inotify_init inotify_init1 fanotify_init fanotify_mark
shmget shmat shmctl semget semop semctl semtimedop msgget msgsnd msgrcv msgctl mq_open mq_unlink
mount umount2 pivot_root chroot open_tree move_mount fsopen fsconfig fsmount fspick
mount_setattr swapon swapoff quotactl quotactl_fd acct
init_module finit_module delete_module kexec_load kexec_file_load reboot
sethostname setdomainname settimeofday clock_settime adjtimex clock_adjtime
iopl ioperm modify_ldt personality syslog vhangup
bpf perf_event_open userfaultfd memfd_create memfd_secret add_key request_key keyctl lookup_dcookie
"""
"""Landlock says nothing about owners, modes, times and attributes of files, nor about any
socket but TCP: those are refused to everybody here. Files in memory are no part of what a limit
on the address space counts."""

_UNKNOWN = "clone3 io_uring_setup io_uring_enter io_uring_register"
"""Said not to exist: programs then fall back to a call whose arguments a filter can see."""

_TO_ONESELF = ["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"]
"""Signals; abort() sends one, and so does whoever reports a crash."""

_CLONE_THREAD = 0x10000

_HARMLESS_OPTIONS = {
    "PR_GET_PDEATHSIG": 2,
    "PR_GET_DUMPABLE": 3,
    "PR_SET_NAME": 15,
    "PR_GET_NAME": 16,
    "PR_GET_SECCOMP": 21,
    "PR_CAPBSET_READ": 23,
    "PR_GET_NO_NEW_PRIVS": 39,
    "PR_SET_VMA": 0x53564D41,
}
"""Of prctl; others would let a worker outlive its parent, or be traced."""

_HARMFUL_COMMANDS = {
    "F_SETOWN": 8,
    "F_SETSIG": 10,
    "F_SETOWN_EX": 15,
    "F_SETLEASE": 1024,
    "F_NOTIFY": 1026,
}
"""Of fcntl: a pipe would send any signal to any process of the same user, and whoever opens a
leased file waits.
"""

_HARMFUL_CONTROLS = {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C}
"""Of ioctl: they type into the terminal that the server was started from."""

_SET_MODE_FILTER, _GET_ACTION_AVAILABLE = 1, 2
_ALL_THREADS = 1

_ALLOW = 0x7FFF0000
_FAIL = 0x00050000
_KILL = 0x80000000

_LOAD, _IF_EQUAL, _IF_GREATER, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT, _SECOND_ARGUMENT_AT = 0, 4, 16, 24

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def is_available(machine: Machine) -> bool:
    """Whether the kernel takes such filters."""
    action = ctypes.c_uint32(_FAIL)
    return _call(machine, _GET_ACTION_AVAILABLE, 0, ctypes.byref(action)) == 0


def install(machine: Machine) -> None:
    """Filter all threads from now on. No new privileges have been given up before.

    Raises OSError; BlockingIOError when a thread cannot be made to follow.
    """
    code = make_filter(machine, os.getpid())
    program = _Program(len(code) // 8, code)
    result = _call(machine, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program))
    if result > 0:
        raise BlockingIOError(errno.EAGAIN, "a thread cannot be filtered")
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def make_filter(machine: Machine, pid: int) -> bytes:
    """The program, 8 bytes an instruction; `pid` is the process that it is for.

    Calls of another architecture, such as those of 32 bits, mean other things by the same
    numbers: they end the process.
    """
    return b"".join(_instructions(machine, pid))


def _instructions(machine: Machine, pid: int) -> Iterator[bytes]:
    numbers = machine.numbers
    yield _make(_LOAD, _ARCH_AT)
    yield _make(_IF_EQUAL, machine.audit_arch, 1, 0)
    yield _make(_RETURN, _KILL)
    yield _make(_LOAD, _NUMBER_AT)
    yield _make(_IF_GREATER, LAST, 0, 1)
    yield _make(_RETURN, _FAIL | errno.ENOSYS)
    for names, error in ((_REFUSED, errno.EPERM), (_UNKNOWN, errno.ENOSYS)):
        for number in (numbers[name] for name in names.split() if name in numbers):
            yield _make(_IF_EQUAL, number, 0, 1)
            yield _make(_RETURN, _FAIL | error)
    for name in _TO_ONESELF:
        yield from _allow_only(numbers[name], [pid])
    yield from _allow_only(numbers["prlimit64"], [0, pid])
    yield from _allow_only(numbers["prctl"], list(_HARMLESS_OPTIONS.values()))
    yield from _refuse_only(numbers["fcntl"], list(_HARMFUL_COMMANDS.values()))
    yield from _refuse_only(numbers["ioctl"], list(_HARMFUL_CONTROLS.values()))
    yield _make(_IF_EQUAL, numbers["clone"], 0, 4)
    yield _make(_LOAD, _FIRST_ARGUMENT_AT)
    yield _make(_IF_ANY_BIT, _CLONE_THREAD, 1, 0)
    yield _make(_RETURN, _FAIL | errno.EPERM)
    yield _make(_RETURN, _ALLOW)
    yield _make(_RETURN, _ALLOW)


def _allow_only(number: int, values: list[int]) -> Iterator[bytes]:
    """The call passes when the lower half of its first argument is one of `values`; all that
    this is used for are of 32 bits.
    """
    count = len(values)
    yield _make(_IF_EQUAL, number, 0, count + 3)
    yield _make(_LOAD, _FIRST_ARGUMENT_AT)
    for place, value in enumerate(values):
        yield _make(_IF_EQUAL, value, count - place, 0)
    yield _make(_RETURN, _FAIL | errno.EPERM)
    yield _make(_RETURN, _ALLOW)


def _refuse_only(number: int, values: list[int]) -> Iterator[bytes]:
    """The call fails when the lower half of its second argument, all that the kernel looks at,
    is one of `values`.
    """
    count = len(values)
    yield _make(_IF_EQUAL, number, 0, count + 3)
    yield _make(_LOAD, _SECOND_ARGUMENT_AT)
    for place, value in enumerate(values):
        yield _make(_IF_EQUAL, value, count - place, 0)
    yield _make(_RETURN, _ALLOW)
    yield _make(_RETURN, _FAIL | errno.EPERM)


def _make(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return pack("=HBBI", code, if_true, if_false, value)


def _call(machine: Machine, operation: int, flags: int, argument: object) -> int:
    result: int = _libc.syscall(
        ctypes.c_long(machine.seccomp),
        ctypes.c_uint(operation),
        ctypes.c_uint(flags),
        argument,
    )
    return result
