"""Idempotency keys whose time is over are forgotten."""

from __future__ import annotations

from imgsvc.store.store import Store
from imgsvc.upkeep.rounds import repeat

EVERY_S = 300.0
BATCH = 1000


class ExpiredKeys:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self) -> None:
        await repeat(self.run_once, EVERY_S)

    async def run_once(self, now: int) -> int:
        """Forget a batch of the keys expired at `now`; returns how many."""
        return await self._store.forget_keys(now, BATCH)
