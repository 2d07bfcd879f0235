"""The database's log is kept short.

The writer moves what the log holds into the database by itself, but the log begins anew only
at a moment when nobody reads from it. Under steady readers there is no such moment unless one is
made.
"""

from __future__ import annotations

from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger
from imgsvc.upkeep.rounds import keep_looking

log = get_logger(__name__)

EVERY_S = 1.0

LARGE_BYTES = 16 << 20
"""A log of this size is cut while the work goes on."""

SMALL_BYTES = 64 << 10
"""A smaller one is not worth a write when the work has ended."""

IDLE_S = 5.0

HUGE_BYTES = 64 << 20
"""A log that has reached this, and could not be cut, is told of; again when it has doubled."""


class Checkpoints:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._commits = 0
        self._idle_rounds = 0
        self._told_bytes = HUGE_BYTES

    async def run(self) -> None:
        await keep_looking(self.run_once, EVERY_S)

    async def run_once(self) -> bool:
        """Cut the log if it is large, or if nothing was written for a while; whether it was."""
        commits = self._store.effort.commits
        self._idle_rounds = self._idle_rounds + 1 if commits == self._commits else 0
        self._commits = commits
        size_bytes = await self._store.wal_bytes()
        is_idle = self._idle_rounds * EVERY_S >= IDLE_S and size_bytes > SMALL_BYTES
        if size_bytes <= LARGE_BYTES and not is_idle:
            return False
        if await self._store.shrink_wal():
            self._told_bytes = HUGE_BYTES
            return True
        if size_bytes >= self._told_bytes:
            self._told_bytes = 2 * size_bytes
            held_by = await self._store.holders()
            log.warning("database_log_is_held", size_bytes=size_bytes, open_in=held_by)
        return False
