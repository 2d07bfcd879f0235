"""Places at hosts: how many requests each one has at the same time, wherever they come from."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Places:
    """per_host: requests of one host at the same time. is_on_trial: as in FetchTurns.

    Who is led on to another host holds no place at the one before, or two hosts that lead to
    each other could wait for ever.
    """

    def __init__(self, per_host: int, is_on_trial: Callable[[str], bool]) -> None:
        self._per_host = per_host
        self._is_on_trial = is_on_trial
        self._taken: Counter[str] = Counter()
        self._freed: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def at(self, host: str) -> AsyncIterator[None]:
        """A place at the host, as soon as there is one."""
        while self._taken[host] >= (1 if self._is_on_trial(host) else self._per_host):
            await self._freed.setdefault(host, asyncio.Event()).wait()
        self._taken[host] += 1
        try:
            yield
        finally:
            self._taken[host] -= 1
            if not self._taken[host]:
                del self._taken[host]
            if host in self._freed:
                self._freed.pop(host).set()
