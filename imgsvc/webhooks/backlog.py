"""How many messages wait to be sent, looked up now and then."""

from __future__ import annotations

import asyncio

from imgsvc.store.store import Store

LOOK_EVERY_S = 15.0

MOST = 10_000
"""Nobody counts further: so many take a millisecond or two."""


class Backlog:
    """waiting: as of the last look, at most MOST."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.waiting = 0

    async def run(self) -> None:
        while True:
            await self.run_once()
            await asyncio.sleep(LOOK_EVERY_S)

    async def run_once(self) -> None:
        self.waiting = await self._store.waiting_deliveries(MOST)
