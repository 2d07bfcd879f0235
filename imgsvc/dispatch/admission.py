"""Which tasks may be in memory together.

Every worker may use its share of the budget, so ordinary tasks need no counting. A heavy
task, whose decode is known to cost more than a share, waits until no ordinary task is in
flight and then runs beside other heavy ones as far as their costs fit the budget. Nobody may
overtake it meanwhile, which is for the caller's queue to keep, so it cannot starve. A suspect
runs with nothing at all beside it.

Shares shrink and grow with the pool. What a task was allowed when it began stays; for a
moment after the pool has grown, all together may therefore hold more than the budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a task in flight may use. is_alone: nothing else is in flight."""

    memory_bytes: int
    is_heavy: bool
    is_alone: bool = False


class Admission:
    """share_bytes: tells what one task may cost when all workers are busy."""

    def __init__(self, budget_bytes: int, share_bytes: Callable[[], int]) -> None:
        self.budget_bytes = budget_bytes
        self._share_bytes = share_bytes
        self._ordinary = 0
        self._heavy_count = 0
        self._heavy_bytes = 0
        self._is_taken = False

    def is_heavy(self, cost_bytes: int | None) -> bool:
        return cost_bytes is not None and cost_bytes > self._share_bytes()

    def can_ever_fit(self, cost_bytes: int) -> bool:
        return cost_bytes <= self.budget_bytes

    def admits(self, cost_bytes: int | None) -> bool:
        """Whether a task of that cost may begin now; None when nothing is known of it."""
        if cost_bytes is not None and self.is_heavy(cost_bytes):
            return self.admits_heavy(cost_bytes)
        return self.admits_ordinary()

    def admits_ordinary(self) -> bool:
        return not self._heavy_count and not self._is_taken

    def admits_heavy(self, cost_bytes: int) -> bool:
        fits = self._heavy_bytes + cost_bytes <= self.budget_bytes
        return self._ordinary == 0 and fits and not self._is_taken

    def admits_alone(self) -> bool:
        return not self._ordinary and not self._heavy_count and not self._is_taken

    def begin(self, cost_bytes: int | None) -> Allowance:
        """Count a task in."""
        if cost_bytes is not None and self.is_heavy(cost_bytes):
            self._heavy_count += 1
            self._heavy_bytes += cost_bytes
            return Allowance(cost_bytes, is_heavy=True)
        self._ordinary += 1
        return Allowance(self._share_bytes(), is_heavy=False)

    def begin_alone(self, cost_bytes: int | None) -> Allowance:
        """Count a task in; nothing else is admitted until it ends."""
        self._is_taken = True
        memory_bytes = max(cost_bytes or 0, self._share_bytes())
        return Allowance(memory_bytes, is_heavy=self.is_heavy(cost_bytes), is_alone=True)

    def end(self, allowance: Allowance) -> None:
        """Count a task out."""
        if allowance.is_alone:
            self._is_taken = False
        elif allowance.is_heavy:
            self._heavy_count -= 1
            self._heavy_bytes -= allowance.memory_bytes
        else:
            self._ordinary -= 1
