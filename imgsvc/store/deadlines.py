"""Everything that waits for a time: moved when the clock is set, and cut to what is sensible.

A clock that is set forward takes all deadlines with it. One that is set back takes with it what
is tried again; what is kept only never stays for longer than its whole time from now. So nothing
is tried late and nothing is deleted early, whichever of the two times was the wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass

from imgsvc.store.sql import DEADLINES
from imgsvc.store.writer import Transaction

_TRIED = ("move_tries", "move_fetches", "move_deliveries")
_KEPT = ("move_expiries", "move_appends", "move_keys")


@dataclass(frozen=True, slots=True)
class LongestWaits:
    """Milliseconds that something can have to wait when the clock is right.

    tries, fetches: images that are made or fetched again. deliveries: messages that are sent
    again. keys: idempotency keys until they are forgotten.
    """

    tries: int
    fetches: int
    deliveries: int
    keys: int


async def move_deadlines(tx: Transaction, by_ms: int, now_ms: int, longest: LongestWaits) -> None:
    """now_ms: the time after the clock was set."""
    for name in (*_TRIED, *(_KEPT if by_ms > 0 else ())):
        await tx.fetch(DEADLINES[name], {"by_ms": by_ms})
    await cut_deadlines(tx, now_ms, longest)


async def cut_deadlines(tx: Transaction, now_ms: int, longest: LongestWaits) -> None:
    """What can only have been written while the clock was ahead of what it is now, or for a
    backup.
    """
    for name, longest_ms in (
        ("cut_tries", longest.tries),
        ("cut_fetches", longest.fetches),
        ("cut_deliveries", longest.deliveries),
        ("cut_keys", longest.keys),
    ):
        await tx.fetch(DEADLINES[name], {"now_ms": now_ms, "longest_ms": longest_ms})
    for name in ("cut_expiries", "cut_appends"):
        await tx.fetch(DEADLINES[name], {"now_ms": now_ms})
