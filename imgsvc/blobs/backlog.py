"""What arrives and waits for the disk: by whom it is written, and how much of it may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from imgsvc.blobs.disk import DiskThreads

BACKLOG_BYTES = 32 << 20

LEAST_BYTES = 64 << 10
"""As what each write counts at least: hundreds of tiny pieces take more memory than they hold. So
there are at most 512 of them, of which each waits for the one before, and no cancel goes too deep.
"""

WRITERS = 2
"""Threads. They are enough for a gigabyte a second; with sixteen, each block wakes another one,
and a large form takes a fifth to a third longer.
"""


class Backlog:
    """What the files of all requests have on their way to the disk.

    A write that waits for other files' syncs takes several times as long as one that does not:
    a file that had to wait for each of its writes would arrive at half the speed.

    limit_bytes: from there on a file hands over a block only when it has none on its way.
    """

    def __init__(self, limit_bytes: int = BACKLOG_BYTES) -> None:
        self._writers = DiskThreads(WRITERS)
        self._limit_bytes = limit_bytes
        self._size_bytes = 0

    def is_full(self) -> bool:
        return self._size_bytes >= self._limit_bytes

    def follow(self, write: asyncio.Task[None], size_bytes: int) -> None:
        """Count these bytes until the write has ended, however it ends."""
        size_bytes = max(size_bytes, LEAST_BYTES)
        self._size_bytes += size_bytes
        write.add_done_callback(lambda _: self._let_go(size_bytes))

    async def run(self, step: Callable[[], None]) -> None:
        """A step that writes. Raises as `DiskThreads.run`."""
        await self._writers.run(step)

    def close(self) -> None:
        """Take no more work; what runs may end by itself."""
        self._writers.close()

    def _let_go(self, size_bytes: int) -> None:
        self._size_bytes -= size_bytes
