"""Landlock: a process gives up its way to files, for good (Linux 5.13; landlock(7)).

Rights add up: a rule for a folder holds for everything below it, and no other rule takes
anything away. What no rule names is refused.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from enum import IntFlag
from struct import pack

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_ASK_VERSION = 1
_PATH_BENEATH = 1
_ALL_THREADS = 1 << 3

_ALL_THREADS_SINCE = 8
_SCOPES_SINCE = 6
_PORTS_SINCE = 4

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Right(IntFlag):
    """On files; those from READ_DIR on make sense for folders only, but for TRUNCATE."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15
    RESOLVE_UNIX = 1 << 16


_SINCE = {Right.REFER: 2, Right.TRUNCATE: 3, Right.IOCTL_DEV: 5, Right.RESOLVE_UNIX: 9}
"""The versions that brought them; the others were there from the first."""

_OF_FILES = Right.EXECUTE | Right.WRITE_FILE | Right.READ_FILE | Right.TRUNCATE | Right.IOCTL_DEV
_BIND_AND_CONNECT_TCP = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


def get_version() -> int:
    """Of the kernel's Landlock; 0 when it has none, or none that is switched on."""
    version: int = _libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    return max(version, 0)


def covers_all_threads(version: int) -> bool:
    """Whether `restrict` holds for other threads that run already, too."""
    return version >= _ALL_THREADS_SINCE


def restrict(granted: Mapping[str, Right], version: int) -> None:
    """Refuse this thread, and all that it starts, every file that is not granted, TCP, and
    signals to others, as far as `version` knows of it. No new privileges have been given up
    before. A path that is not there is passed over. Raises OSError.
    """
    handled = _rights_of(version)
    ruleset = _make_ruleset(handled, version)
    try:
        for path, rights in granted.items():
            _grant(ruleset, path, rights & handled)
        flags = _ALL_THREADS if covers_all_threads(version) else 0
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(flags))
    finally:
        os.close(ruleset)


def _rights_of(version: int) -> Right:
    rights = Right(0)
    for right in Right:
        if _SINCE.get(right, 1) <= version:
            rights |= right
    return rights


def _make_ruleset(handled: Right, version: int) -> int:
    """A descriptor. A kernel takes the part of the structure that it knows."""
    ruleset = pack("=QQQ", handled, _BIND_AND_CONNECT_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS)
    words = 1 + (version >= _PORTS_SINCE) + (version >= _SCOPES_SINCE)
    return _call(_CREATE_RULESET, ruleset, ctypes.c_size_t(8 * words), ctypes.c_uint32(0))


def _grant(ruleset: int, path: str, rights: Right) -> None:
    try:
        target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - what was opened is named by this path
            rights &= _OF_FILES
        rule = pack("=Qi", rights, target)
        kind = ctypes.c_int(_PATH_BENEATH)
        _call(_ADD_RULE, ctypes.c_int(ruleset), kind, rule, ctypes.c_uint32(0))
    finally:
        os.close(target)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
