"""How much of what arrives may wait for the disk."""

from __future__ import annotations

import asyncio

BACKLOG_BYTES = 32 << 20


class Backlog:
    """What the files of all requests have on their way to the disk.

    A write that waits for other files' syncs takes several times as long as one that does not:
    a file that had to wait for each of its writes would arrive at half the speed.

    limit_bytes: from there on a file hands over a block only when it has none on its way.
    """

    def __init__(self, limit_bytes: int = BACKLOG_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._size_bytes = 0

    def is_full(self) -> bool:
        return self._size_bytes >= self._limit_bytes

    def follow(self, write: asyncio.Task[None], size_bytes: int) -> None:
        """Count these bytes until the write has ended, however it ends."""
        self._size_bytes += size_bytes
        write.add_done_callback(lambda _: self._let_go(size_bytes))

    def _let_go(self, size_bytes: int) -> None:
        self._size_bytes -= size_bytes
