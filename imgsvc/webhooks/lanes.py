"""Which message is sent next: receivers take turns, and a slow one only holds up its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from imgsvc.domain.webhook import Delivery

PER_RECEIVER = 2
IN_ALL = 32


class Lanes:
    """What is under way. per_receiver: messages to one receiver at once."""

    def __init__(self, *, per_receiver: int = PER_RECEIVER, in_all: int = IN_ALL) -> None:
        self._per_receiver = per_receiver
        self._in_all = in_all
        self._running: dict[str, str] = {}
        self._busy: Counter[str] = Counter()
        self._turns: dict[str, int] = {}
        self._turn = 0

    @property
    def running(self) -> Collection[str]:
        """Ids of the messages that are under way."""
        return self._running.keys()

    @property
    def is_full(self) -> bool:
        """Whether nothing can set out before something has arrived."""
        return len(self._running) >= self._in_all

    def enter(self, due: Sequence[Delivery]) -> list[Delivery]:
        """Those of `due`, one for each receiver that has any, which can set out now.

        The receiver whose turn was the longest ago goes first.
        """
        turns = {d.receiver: self._turns.get(d.receiver, 0) for d in due}
        self._turns = turns | {r: self._turns.get(r, 0) for r in self._busy}
        entered = []
        for delivery in sorted(due, key=lambda d: (turns[d.receiver], d.next_at or 0)):
            if self.is_full:
                break
            if self._busy[delivery.receiver] < self._per_receiver:
                self._take(delivery)
                entered.append(delivery)
        return entered

    def leave(self, delivery: Delivery) -> None:
        """It has arrived, or not."""
        del self._running[delivery.id]
        self._busy[delivery.receiver] -= 1
        if not self._busy[delivery.receiver]:
            del self._busy[delivery.receiver]

    def _take(self, delivery: Delivery) -> None:
        self._turn += 1
        self._turns[delivery.receiver] = self._turn
        self._running[delivery.id] = delivery.receiver
        self._busy[delivery.receiver] += 1
