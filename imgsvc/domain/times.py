"""Times: integer milliseconds since 1970 inside, RFC 3339 in UTC outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


def wall_ms() -> int:
    """Milliseconds since 1970-01-01T00:00:00Z by the machine's clock, which may be set."""
    return time.time_ns() // 1_000_000


def elapsed_ms() -> int:
    """Milliseconds since the machine started, its sleep among them; nobody can set it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Clock:
    """Time since 1970 that goes on evenly, whatever is done to the machine's clock, until it
    is told to follow: between a deadline's making and its end nothing jumps unnoticed.
    """

    def __init__(
        self, wall: Callable[[], int] = wall_ms, elapsed: Callable[[], int] = elapsed_ms
    ) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._offset_ms = wall() - elapsed()

    def now_ms(self) -> int:
        return self._elapsed() + self._offset_ms

    def behind_ms(self) -> int:
        """By how much the machine's clock is ahead of this one; negative when it is behind."""
        return self._wall() - self.now_ms()

    def follow(self, by_ms: int) -> None:
        """Go on from so much later, or earlier."""
        self._offset_ms += by_ms


CLOCK = Clock()
"""Of this process; `imgsvc.upkeep.clock` makes it follow the machine's."""

now_ms = CLOCK.now_ms
"""Milliseconds since 1970-01-01T00:00:00Z."""


def rfc3339(at_ms: int | None) -> str | None:
    """`1763632800123` becomes `2025-11-20T10:00:00.123Z`; None stays None."""
    if at_ms is None:
        return None
    seconds, milliseconds = divmod(at_ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"
