"""Which processes have a file or a socket open: said when it is taken."""

from __future__ import annotations

from collections.abc import Set
from contextlib import suppress
from pathlib import Path


def find_holders(links: Set[str]) -> dict[int, str]:
    """`name (pid 123)`, by pid, of the processes that have a descriptor which links to one of
    these, if /proc tells. Blocking.
    """
    return {
        int(process.name): f"{_name(process)} (pid {process.name})"
        for process in Path("/proc").glob("[0-9]*")
        if not links.isdisjoint(_descriptors(process))
    }


def _descriptors(process: Path) -> set[str]:
    """What they link to; none when it is another user's."""
    links = set()
    with suppress(OSError):
        for fd in (process / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                links.add(str(fd.readlink()))
    return links


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a process"
