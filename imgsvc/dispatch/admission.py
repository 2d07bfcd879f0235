"""Which tasks may be in memory together.

Every worker may use its share of the budget, so ordinary tasks need no counting. A heavy
task, whose decode is known to cost more than a share, waits until no ordinary task is in
flight and then runs beside other heavy ones as far as their costs fit the budget; until
it has run, no ordinary task begins, so it cannot starve.
"""

from __future__ import annotations


class Admission:
    def __init__(self, budget_bytes: int, share_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.share_bytes = share_bytes
        self._ordinary = 0
        self._heavy_bytes: list[int] = []
        self.heavy_waits = False

    def is_heavy(self, cost_bytes: int | None) -> bool:
        return cost_bytes is not None and cost_bytes > self.share_bytes

    def can_ever_fit(self, cost_bytes: int) -> bool:
        return cost_bytes <= self.budget_bytes

    def admits_ordinary(self) -> bool:
        return not self._heavy_bytes and not self.heavy_waits

    def admits_heavy(self, cost_bytes: int) -> bool:
        charged = sum(self._heavy_bytes)
        return self._ordinary == 0 and charged + cost_bytes <= self.budget_bytes

    def begin(self, cost_bytes: int | None) -> int:
        """Count a task in; returns what it may use."""
        if cost_bytes is not None and self.is_heavy(cost_bytes):
            self._heavy_bytes.append(cost_bytes)
            return cost_bytes
        self._ordinary += 1
        return self.share_bytes

    def end(self, cost_bytes: int | None) -> None:
        """Count a task out; `cost_bytes` as given to `begin`."""
        if cost_bytes is not None and self.is_heavy(cost_bytes):
            self._heavy_bytes.remove(cost_bytes)
        else:
            self._ordinary -= 1
