"""All connections together: how many there may be, and how much may wait for their readers.

Whoever is served stays; those who only stand there make way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice, takewhile
from typing import Protocol

MAX_UNSENT_BYTES = 256 << 20
"""Answers that wait in memory because their clients do not read, all together."""

NEW_S = 1.0
"""How long a new connection is not idle, for what it asks for is on its way."""

PRESSED_S = 0.1
"""The same where nobody is idle: what a program asks for comes right behind its connection."""


class Member(Protocol):
    """A connection, as far as the others are concerned."""

    def unsent_bytes(self) -> int:
        """What waits to be read by the client."""

    def retire(self) -> None:
        """Close it when what waits there is sent."""

    def drop(self) -> None:
        """Close it at once, whatever waits there."""


class Crowd:
    """most: connections that may be open at a time. clock: seconds that never go back."""

    def __init__(
        self,
        most: int,
        *,
        max_unsent_bytes: int = MAX_UNSENT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._most = most
        self._max_unsent_bytes = max_unsent_bytes
        self._inside: set[Member] = set()
        # All in order: who has stood there for longest is first.
        self._new: dict[Member, float] = {}
        self._idle: dict[Member, None] = {}
        self._clogged: dict[Member, int] = {}
        self._unsent_bytes = 0

    def __len__(self) -> int:
        """Connections that are open."""
        return len(self._inside)

    def enter(self, member: Member) -> bool:
        """False when all inside are just new or being served; otherwise there is a place for it."""
        if len(self._inside) >= self._most and not self.make_room(1):
            return False
        self._inside.add(member)
        self._new[member] = self._clock()
        return True

    def make_room(self, count: int) -> int:
        """Close up to `count` of those who are idle for longest; returns how many."""
        self._age(NEW_S)
        if not self._idle:
            self._age(PRESSED_S)
        idle = list(islice(self._idle, count))
        for member in idle:
            self._inside.discard(member)
            self._idle.pop(member)
            member.retire()
        return len(idle)

    def leave(self, member: Member) -> None:
        self._inside.discard(member)
        self._new.pop(member, None)
        self._idle.pop(member, None)
        self.unclog(member)

    def begin(self, member: Member) -> None:
        """It is being served."""
        self._new.pop(member, None)
        self._idle.pop(member, None)

    def end(self, member: Member) -> None:
        """It is served, and may ask for more."""
        self._age(NEW_S)
        if member in self._inside:
            self._idle[member] = None

    def _age(self, new_s: float) -> None:
        """Whoever came so long ago and has asked for nothing is idle."""
        before_s = self._clock() - new_s
        for member in list(takewhile(lambda one: self._new[one] <= before_s, self._new)):
            del self._new[member]
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
