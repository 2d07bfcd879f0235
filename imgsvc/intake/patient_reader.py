"""Reading a body that somebody else sends, and only as long as it moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

MIN_BYTES_PER_S = 1000.0
"""Slower senders only hold a place that others need."""


class TooSlow(Exception):
    """The text is what a body does: it continues “The body …”."""


@dataclass(slots=True)
class PatientReader:
    """read_any: waits for more of the body; empty at its end. stall_s: how long that may bring
    nothing. slow_after_s: how long it may have been waited for in all before its rate counts.
    """

    read_any: Callable[[], Awaitable[bytes]]
    stall_s: float
    slow_after_s: float
    _received_bytes: int = 0
    _waited_s: float = 0.0

    async def read(self) -> bytes:
        """What has arrived, empty at the end. Raises TooSlow, and what reading raises."""
        clock = asyncio.get_running_loop().time
        began_s = clock()
        try:
            async with asyncio.timeout(self.stall_s):
                chunk = await self.read_any()
        except TimeoutError as exc:
            raise TooSlow("stopped arriving") from exc
        self._received_bytes += len(chunk)
        self._waited_s += clock() - began_s
        is_slow = self._received_bytes < self._waited_s * MIN_BYTES_PER_S
        if chunk and is_slow and self._waited_s > self.slow_after_s:
            raise TooSlow("arrives too slowly")
        return chunk
