"""Idempotency keys whose time is over are forgotten."""

from __future__ import annotations

import asyncio

from imgsvc.domain.times import now_ms
from imgsvc.store.store import Store

EVERY_S = 300.0
BATCH = 1000


class ExpiredKeys:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self) -> None:
        while True:
            if not await self.run_once(now_ms()):
                await asyncio.sleep(EVERY_S)

    async def run_once(self, now: int) -> int:
        """Forget a batch of the keys expired at `now`; returns how many."""
        return await self._store.forget_keys(now, BATCH)
