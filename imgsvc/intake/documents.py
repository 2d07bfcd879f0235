"""Documents that are held in memory: those of all requests together have so much room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from imgsvc.errors import RateLimited

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


class Documents:
    """What one request holds: counted as it arrives, until it is released."""

    def __init__(self, room: DocumentRoom) -> None:
        self._room = room
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
        if counted > self._room.free_bytes:
            self.release()  # at once, lest all that arrive together are refused
            raise RateLimited(
                "The documents of other requests fill the memory.", retry_after_s=RETRY_AFTER_S
            )
        self._uncounted_bytes -= uncounted
        self._counted_bytes += counted
        self._room.free_bytes -= counted

    async def parse(self, parse: Callable[[bytes], T], text: bytes) -> T:
        """In a thread, and large ones one after the other: it takes several times their size."""
        if len(text) <= FREE_BYTES:
            return await asyncio.to_thread(parse, text)
        async with self._room.parsing:
            return await asyncio.to_thread(parse, text)

    def release(self) -> None:
        self._room.free_bytes += self._counted_bytes
        self._counted_bytes = 0
