"""Reading a body that somebody else sends, and only as long as it moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol

MIN_BYTES_PER_S = 1000.0
"""Slower senders only hold a place that others need."""

CROWDED_BYTES_PER_S = 8000.0
"""The same where somebody asks for the place."""

CROWDED_AFTER_S = 10.0
"""What a sender may be late by then."""


class TooSlow(Exception):
    """The text is what a body does: it continues “The body …”."""


class Content(Protocol):
    """A body on its way, as aiohttp has it."""

    @property
    def total_raw_bytes(self) -> int:
        """What was received so far, as it was sent: packed, where it is."""

    async def readany(self) -> bytes:
        """Waits for more; empty at the end."""


class _Patience:
    """Seconds that we shall wait for a sender: those that we wait are taken off, and what it
    brings adds as many as it may take at this rate, up to `most_s`.
    """

    def __init__(self, bytes_per_s: float, most_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._most_s = most_s
        self.left_s = most_s

    def note(self, waited_s: float, size_bytes: int) -> None:
        left_s = self.left_s - waited_s + size_bytes / self._bytes_per_s
        self.left_s = min(left_s, self._most_s)


class PatientReader:
    """stall_s: how long the body may bring nothing. slow_after_s: how long one that is too slow is
    waited for in all. clock: seconds that never go back. Time that we take ourselves counts for
    nothing.
    """

    def __init__(
        self,
        content: Content,
        stall_s: float,
        slow_after_s: float,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._content = content
        self._received_bytes = 0
        self._stall_s = stall_s
        self._clock = clock
        self._patience = _Patience(MIN_BYTES_PER_S, slow_after_s)
        self._in_a_crowd = _Patience(CROWDED_BYTES_PER_S, CROWDED_AFTER_S)
        self._limit: asyncio.Timeout | None = None
        self._waits_since_s = 0.0
        self._makes_way = False

    async def read(self) -> bytes:
        """What has arrived, empty at the end. Raises TooSlow, and what reading raises."""
        self._waits_since_s = self._clock()
        try:
            async with asyncio.timeout(self._stall_s) as self._limit:
                chunk = await self._content.readany()
        except TimeoutError as exc:
            raise TooSlow(self._reason("stopped arriving")) from exc
        finally:
            self._limit = None
        if chunk:
            self._note(self._clock() - self._waits_since_s)
        if self._makes_way or self._patience.left_s < 0:
            raise TooSlow(self._reason("arrives too slowly"))
        return chunk

    @property
    def behind_s(self) -> float:
        """By how long the sender is late where others ask for its place; 0 or less when it is
        not, or nobody waits for it.
        """
        if self._limit is None or self._makes_way:
            return 0.0
        return self._clock() - self._waits_since_s - self._in_a_crowd.left_s

    def make_way(self) -> None:
        """End a sender that is behind: `read` raises TooSlow."""
        self._makes_way = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(0)

    def _note(self, waited_s: float) -> None:
        before, self._received_bytes = self._received_bytes, self._content.total_raw_bytes
        for patience in (self._patience, self._in_a_crowd):
            patience.note(waited_s, self._received_bytes - before)

    def _reason(self, reason: str) -> str:
        return "arrives too slowly while others wait" if self._makes_way else reason
