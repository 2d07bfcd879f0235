"""What a child finds around it: files that it may read, variables, descriptors."""

from __future__ import annotations

import ctypes
import os
import sys
import sysconfig
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

from imgsvc.workers.landlock import Right

_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/urandom",
)
"""Libraries and time zones. Fonts come with the program."""

_PACKAGE_FOLDERS = frozenset({"site-packages", "dist-packages"})

_KEPT_NAMES = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH"})
_KEPT_STARTS = ("LC_", "PYTHON", "MALLOC_", "GLIBC_", "VIPS_", "G_", "FONTCONFIG_", "PANGO")

_libc = ctypes.CDLL(None)

READ = Right.READ_FILE | Right.READ_DIR


def grant_reading(protected: Path) -> dict[str, Right]:
    """Libraries and what Python imports, by path; never a folder in which `protected` lies,
    so that whoever keeps data among programs does not open it to every worker.
    """
    places = {os.path.realpath(place) for place in (*_SYSTEM, *_find_python())}
    secret = protected.resolve()
    granted = dict.fromkeys(sorted(p for p in places if not secret.is_relative_to(p)), READ)
    return granted | {"/dev/null": Right.READ_FILE | Right.WRITE_FILE}


def _find_python() -> Iterator[str]:
    """The standard library, installed packages, and packages loaded from anywhere else."""
    yield from (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    yield os.path.join(sys.base_prefix, "lib")  # noqa: PTH118 - paths are text here
    yield from (entry for entry in sys.path if Path(entry).name in _PACKAGE_FOLDERS)
    for name, module in list(sys.modules.items()):
        if "." not in name:
            yield from getattr(module, "__path__", ())


def forget_environment() -> None:
    """Keep the variables that libraries look at, and wipe all others, secrets among them:
    also where the kernel put them when the process began.
    """
    addresses = ctypes.POINTER(ctypes.c_void_p).in_dll(_libc, "environ")
    place = 0
    while address := addresses[place]:
        place += 1
        name, _, value = ctypes.string_at(address).partition(b"=")
        if not _is_kept(os.fsdecode(name)):
            ctypes.memset(address + len(name) + 1, 0, len(value))
    for variable in list(os.environ):
        if not _is_kept(variable):
            del os.environ[variable]


def _is_kept(variable: str) -> bool:
    return variable in _KEPT_NAMES or variable.startswith(_KEPT_STARTS)


def drop_descriptors() -> None:
    """Let go of what came from the parent and is not needed: its terminal, and the pipe to
    the process that removes shared memory by name.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    if (tracker := resource_tracker.getfd()) is not None:
        os.dup2(nothing, tracker, inheritable=False)
    os.close(nothing)
