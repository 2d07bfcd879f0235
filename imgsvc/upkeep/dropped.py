"""Jobs of submits that failed, and could not be removed then, are removed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from imgsvc.upkeep.rounds import repeat

EVERY_S = 5.0


class DroppedJobs:
    """drop: removes them all, given the time in milliseconds; returns how many."""

    def __init__(self, drop: Callable[[int], Awaitable[int]]) -> None:
        self._drop = drop

    async def run(self) -> None:
        await repeat(self._drop, EVERY_S)
