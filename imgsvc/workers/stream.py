"""Events on their way to the one consumer: whoever puts never waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from imgsvc.domain.rendering import EngineEvent


class EventStream:
    """Bounded by what is in flight, since each task makes two events at most."""

    def __init__(self) -> None:
        self._events: list[EngineEvent] = []
        self._changed = asyncio.Event()
        self._error: Exception | None = None
        self._ended = False
        self._is_nudged = False

    def put(self, events: Iterable[EngineEvent]) -> None:
        self._events.extend(events)
        if self._events:
            self._changed.set()

    def nudge(self) -> None:
        """Let the consumer look up, with an empty batch if nothing else has happened."""
        self._is_nudged = True
        self._changed.set()

    def end(self) -> None:
        """Nothing follows any more."""
        self._ended = True
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """The consumer gets what is there, then `error`; the first one counts."""
        self._error = self._error or error
        self._changed.set()

    async def batches(self) -> AsyncIterator[Sequence[EngineEvent]]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._events or self._is_nudged:
                events, self._events, self._is_nudged = self._events, [], False
                yield events
            if self._error is not None:
                raise self._error
            if self._ended and not self._events:
                return
