"""Documents that are held in memory: those of all requests together have so much room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from imgsvc.errors import RateLimited
from imgsvc.intake.patient_reader import PatientReader

ROOM_BYTES = 256 << 20
FREE_BYTES = 256 << 10
"""What every request may hold without being counted: most hold less."""

VALUE_BYTES = 360
"""What a value takes once it is parsed and validated, measured with images by URL."""

WIDEST_CHARACTER_BYTES = 4
"""One character beyond ASCII can make each character of a text that wide."""

RETRY_AFTER_S = 5

T = TypeVar("T")


class DocumentRoom:
    """What all requests may hold together. most_bytes: as text and once parsed."""

    def __init__(self, most_bytes: int = ROOM_BYTES) -> None:
        self.free_bytes = most_bytes
        self.parsing = asyncio.Lock()
        self._holders: set[Documents] = set()

    def take(self, holder: Documents, size_bytes: int) -> bool:
        """False when there is not so much, nor where those who are too slow make way, the
        slowest first.
        """
        while size_bytes > self.free_bytes:
            slowest = max(self._holders, key=lambda one: one.behind_s, default=holder)
            if slowest.behind_s <= 0:
                return False
            slowest.make_way()
        self.free_bytes -= size_bytes
        self._holders.add(holder)
        return True

    def give_back(self, holder: Documents, size_bytes: int) -> None:
        self.free_bytes += size_bytes
        self._holders.discard(holder)


class Documents:
    """What one request holds: counted as it arrives, until it is released.

    reader: of the request's body; None where nobody has to wait for that.
    """

    def __init__(self, room: DocumentRoom, reader: PatientReader | None = None) -> None:
        self._room = room
        self._reader = reader
        self._uncounted_bytes = FREE_BYTES
        self._counted_bytes = 0

    def take(self, text: bytes, values: int = 0) -> None:
        """Count a piece of a document. Raises RateLimited when there is no room for it: the
        request must give up what it holds.
        """
        width = 1 if text.isascii() else WIDEST_CHARACTER_BYTES
        size_bytes = len(text) * width + values * VALUE_BYTES
        uncounted = min(size_bytes, self._uncounted_bytes)
        counted = size_bytes - uncounted
        if counted and not self._room.take(self, counted):
            self.release()  # at once, lest all that arrive together are refused
            raise RateLimited(
                "The documents of other requests fill the memory.", retry_after_s=RETRY_AFTER_S
            )
        self._uncounted_bytes -= uncounted
        self._counted_bytes += counted

    async def parse(self, parse: Callable[[bytes], T], text: bytes) -> T:
        """In a thread, and large ones one after the other: it takes several times their size."""
        if len(text) <= FREE_BYTES:
            return await asyncio.to_thread(parse, text)
        async with self._room.parsing:
            return await asyncio.to_thread(parse, text)

    @property
    def behind_s(self) -> float:
        """By how long its sender is late; 0 or less when it is not."""
        return self._reader.behind_s if self._reader is not None else 0.0

    def make_way(self) -> None:
        """End its sender, and count what it holds no more."""
        if self._reader is not None:
            self._reader.make_way()
        self.release()

    def release(self) -> None:
        self._room.give_back(self, self._counted_bytes)
        self._counted_bytes = 0
