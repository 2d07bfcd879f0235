"""`python -m tests.store.quota <database> EDQUOT`: a store under a quota; or, with EROFS, on a
disk that became read-only.

The kernel refuses this process every write beyond 1 MiB of a file, by a filter of system calls:
quotas themselves need a file system that is made for them, and no disk can be made read-only while
files are open. What SQLite makes of it is its own.
"""

from __future__ import annotations

import asyncio
import errno
import platform
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from struct import pack

import pytest

from imgsvc.errors import DatabaseBroken, ShuttingDown, StorageFull
from imgsvc.store.store import Store
from imgsvc.workers import limits, seccomp
from imgsvc.workers.syscalls import Machine, find_machine
from tests.store.builders import create

MOST_BYTES = (1 << 20) - 1
NUMBERS = {"x86_64": (18, 285), "aarch64": (67, 47)}
"""Of pwrite64 and fallocate: what is beyond is, to both, the fourth argument."""

_FOURTH_ARGUMENT_AT = 40
_LOAD, _IF_EQUAL, _IF_GREATER, _RETURN = 0x20, 0x15, 0x25, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000


def make_filter(machine: Machine, pid: int, error: int = errno.EDQUOT) -> bytes:
    pwrite, fallocate = NUMBERS[platform.machine()]
    instructions = (
        (_LOAD, 0, 0, 0),
        (_IF_EQUAL, 1, 0, pwrite),
        (_IF_EQUAL, 0, 3, fallocate),
        (_LOAD, 0, 0, _FOURTH_ARGUMENT_AT),
        (_IF_GREATER, 0, 1, MOST_BYTES),
        (_RETURN, 0, 0, _FAIL | error),
        (_RETURN, 0, 0, _ALLOW),
    )
    return b"".join(pack("=HBBI", *instruction) for instruction in instructions)


def set_quota(error: int = errno.EDQUOT) -> None:
    machine = find_machine()
    assert machine is not None
    limits.forbid_new_privileges()
    seccomp.make_filter = partial(make_filter, error=error)
    seccomp.install(machine)


async def work(database: Path) -> None:
    """Write until there is no room, make some, and write again."""
    set_quota()
    store = await Store.open(database)
    job = await create(store, 100)
    refused = 0
    while not refused:
        results = await asyncio.gather(
            *(store.ping_writable() for _ in range(5)),
            store.cancel_job(job.id, 2_000),
            create(store, 50),
            return_exceptions=True,
        )
        refused = sum(isinstance(result, StorageFull) for result in results)
        others = [r for r in results if isinstance(r, Exception) and not isinstance(r, StorageFull)]
        assert others == [], others
    assert not store.has_broken_down
    assert (await store.job(job.id)).cancelled == 100
    await store.shrink_wal()
    await store.ping_writable()
    await store.close()


async def break_down(database: Path) -> None:
    """Write until the disk refuses, and say why the store goes on no more."""
    set_quota(errno.EROFS)
    store = await Store.open(database)
    with suppress(ShuttingDown):
        while True:
            await create(store, 100)
    with pytest.raises(DatabaseBroken, match="Read-only"):
        await store.watch()
    await store.close()


if __name__ == "__main__":
    deeds = {"EDQUOT": work, "EROFS": break_down}
    asyncio.run(deeds[sys.argv[2]](Path(sys.argv[1])))
