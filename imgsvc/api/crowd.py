"""All connections together: how many there may be, and how much may wait for their readers.

Whoever is served stays; those who only stand there make way.
"""

from __future__ import annotations

from itertools import islice
from typing import Protocol

MAX_UNSENT_BYTES = 256 << 20
"""Answers that wait in memory because their clients do not read, all together."""


class Member(Protocol):
    """A connection, as far as the others are concerned."""

    def unsent_bytes(self) -> int:
        """What waits to be read by the client."""

    def retire(self) -> None:
        """Close it when what waits there is sent."""

    def drop(self) -> None:
        """Close it at once, whatever waits there."""


class Crowd:
    """most: connections that may be open at a time."""

    def __init__(self, most: int, *, max_unsent_bytes: int = MAX_UNSENT_BYTES) -> None:
        self._most = most
        self._max_unsent_bytes = max_unsent_bytes
        self._inside: set[Member] = set()
        # Both in order: who has stood there for longest is first.
        self._idle: dict[Member, None] = {}
        self._clogged: dict[Member, int] = {}
        self._unsent_bytes = 0

    def enter(self, member: Member) -> bool:
        """False when everybody inside is being served; otherwise there is a place for it."""
        if len(self._inside) >= self._most:
            if not self._idle:
                return False
            self.make_room(1)
        self._inside.add(member)
        self._idle[member] = None
        return True

    def make_room(self, count: int) -> int:
        """Close up to `count` of those who are idle for longest; returns how many."""
        idle = list(islice(self._idle, count))
        for member in idle:
            self._inside.discard(member)
            self._idle.pop(member)
            member.retire()
        return len(idle)

    def leave(self, member: Member) -> None:
        self._inside.discard(member)
        self._idle.pop(member, None)
        self.unclog(member)

    def begin(self, member: Member) -> None:
        """It is being served."""
        self._idle.pop(member, None)

    def end(self, member: Member) -> None:
        """It is served, and may ask for more."""
        if member in self._inside:
            self._idle[member] = None

    def clog(self, member: Member) -> None:
        """Its client does not read as fast as it is written to. Whoever has not read for longest
        is dropped when too much waits in all.
        """
        self.unclog(member)
        self._clogged[member] = member.unsent_bytes()
        self._unsent_bytes += self._clogged[member]
        while self._unsent_bytes > self._max_unsent_bytes and len(self._clogged) > 1:
            slowest = next(iter(self._clogged))
            self.leave(slowest)
            slowest.drop()

    def unclog(self, member: Member) -> None:
        """Its client has read."""
        self._unsent_bytes -= self._clogged.pop(member, 0)
