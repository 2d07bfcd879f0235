"""Memory that a rush of requests has taken goes back to the system when it is over.

malloc keeps what was freed for the next rush, and after hundreds of uploads that is much.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from imgsvc.upkeep.rounds import repeat
from imgsvc.workers.limits import return_free_memory

EVERY_S = 10.0

GROWN_BYTES = 64 << 20
"""Less is not worth the work."""

_STATM = Path("/proc/self/statm")


class FreeMemory:
    """While the process is larger than it once was, it gives back what it does not use."""

    def __init__(self) -> None:
        self._least_bytes: int | None = None

    async def run(self) -> None:
        await repeat(self.run_once, EVERY_S)

    async def run_once(self, _now: int) -> int:
        resident_bytes = await asyncio.to_thread(_resident_bytes)
        if self._least_bytes is None or resident_bytes < self._least_bytes:
            self._least_bytes = resident_bytes
        if resident_bytes > self._least_bytes + GROWN_BYTES:
            await asyncio.to_thread(return_free_memory)
        return 0


def _resident_bytes() -> int:
    """0 where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
