"""Pictures of watermarks that no name and no job means any more are removed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from imgsvc.upkeep.rounds import repeat

EVERY_S = 60.0


class UnusedWatermarks:
    """remove: removes them all, given the time in milliseconds; returns how many."""

    def __init__(self, remove: Callable[[int], Awaitable[int]]) -> None:
        self._remove = remove

    async def run(self) -> None:
        await repeat(self._remove, EVERY_S)
