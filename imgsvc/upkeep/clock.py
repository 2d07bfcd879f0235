"""The machine's clock is set: everything that waits goes on waiting for as long as it would have.

The program's own clock goes on evenly and is made to follow the machine's here. All deadlines
in the database move with it, in one commit.
"""

from __future__ import annotations

from collections.abc import Callable

from imgsvc.domain.times import CLOCK, Clock
from imgsvc.store.deadlines import LongestWaits
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger
from imgsvc.upkeep.rounds import keep_looking

log = get_logger(__name__)

EVERY_S = 1.0

STEP_MS = 500
"""Less than this is a clock being adjusted, which happens all the time and harms nobody."""


class ClockWatch:
    """on_set: told by how many milliseconds the clock was set."""

    def __init__(
        self,
        store: Store,
        longest: LongestWaits,
        on_set: Callable[[int], None],
        clock: Clock = CLOCK,
    ) -> None:
        self._store = store
        self._longest = longest
        self._on_set = on_set
        self._clock = clock

    async def run(self) -> None:
        await keep_looking(self.run_once, EVERY_S)

    async def run_once(self) -> int:
        """Follow the machine's clock; returns by how many milliseconds it was set, 0 if it was
        not.
        """
        by_ms = self._clock.behind_ms()
        if abs(by_ms) < STEP_MS:
            self._clock.follow(by_ms)
            return 0
        now_ms = self._clock.now_ms() + by_ms
        await self._store.move_deadlines(by_ms, now_ms, self._longest)
        self._clock.follow(by_ms)
        if by_ms < 0:  # what was written in between was so by the clock as it was
            await self._store.cut_deadlines(self._clock.now_ms(), self._longest)
        self._on_set(by_ms)
        log.warning("clock_was_set", by_s=by_ms / 1000)
        return by_ms
