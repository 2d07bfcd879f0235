"""What a child notes for its parent while it works, and the parent for it: a few numbers in
shared memory.

Each is one aligned 64-bit cell with one writer, so neither side can read half a value, and
nothing has to be locked by a process that may be killed at any moment.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import weakref
from mmap import PAGESIZE
from multiprocessing.heap import Arena
from typing import NamedTuple

MAX_TASKS_PER_BUNDLE = 1 << 16

_BEGUN, _STOP, _URGENT = range(3)

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class TaskMark(NamedTuple):
    """The last task begun: the bundle's ordinal and the position in it, from 0.

    Ordinals rise from 1 within a slot, so marks are ordered as tasks are.
    """

    ordinal: int
    position: int


NO_TASK = TaskMark(0, 0)
"""Before the first task."""


class Notes:
    """Passed to the child when it is spawned, and only then. In memory that no other child
    has: one that is hijacked can write whatever it likes into what it shares. It cannot take it
    away, which would end the parent with a SIGBUS: the size is sealed.
    """

    def __init__(self) -> None:
        """Raises OSError."""
        descriptor = os.memfd_create("notes", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        weakref.finalize(self, os.close, descriptor)
        os.ftruncate(descriptor, PAGESIZE)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        self.__setstate__(Arena(PAGESIZE, descriptor))

    def __getstate__(self) -> Arena:
        return self._arena

    def __setstate__(self, arena: Arena) -> None:
        self._arena = arena
        self._cells = (ctypes.c_int64 * 3).from_buffer(arena.buffer)

    def write_mark(self, mark: TaskMark) -> None:
        self._cells[_BEGUN] = mark.ordinal * MAX_TASKS_PER_BUNDLE + mark.position

    def read_mark(self) -> TaskMark:
        return TaskMark(*divmod(self._cells[_BEGUN], MAX_TASKS_PER_BUNDLE))

    def ask_to_stop(self) -> None:
        """The child begins no further task. It looks after it has noted its mark, so
        whoever asks first and reads the mark then knows what will not be begun.
        """
        self._cells[_STOP] = 1

    def ask_to_yield(self, ordinal: int) -> None:
        """An urgent bundle of this ordinal follows: of those before it, the child begins no
        further task that makes way.
        """
        self._cells[_URGENT] = ordinal

    def must_yield(self, ordinal: int) -> bool:
        """Whether the bundle of this ordinal stands before the latest urgent one."""
        return ordinal < self._cells[_URGENT]

    @property
    def stop_asked(self) -> bool:
        return bool(self._cells[_STOP])
