"""Whose turn it is: strict by priority, round-robin over the jobs of one priority."""

from __future__ import annotations

from collections import OrderedDict

from imgsvc.domain.states import Priority


class Turns:
    """Jobs that may have images to dispatch. Pure bookkeeping, no I/O."""

    def __init__(self) -> None:
        self._jobs: dict[Priority, OrderedDict[str, int]] = {
            priority: OrderedDict() for priority in sorted(Priority, key=lambda p: p.rank)
        }
        self._stamp = 0

    def __bool__(self) -> bool:
        return any(self._jobs.values())

    def add(self, job_id: str, priority: Priority) -> None:
        """The job has images to dispatch (again). Keeps its place if it has one."""
        self._stamp += 1
        self._jobs[priority][job_id] = self._stamp

    def take(self) -> tuple[str, Priority, int] | None:
        """The job whose turn it is, sent to the end of its line; None when nobody waits.

        The number tells this turn's knowledge apart from later news; see `exhaust`.
        """
        for priority, jobs in self._jobs.items():
            if jobs:
                job_id, stamp = next(iter(jobs.items()))
                jobs.move_to_end(job_id)
                return job_id, priority, stamp
        return None

    def exhaust(self, job_id: str, priority: Priority, stamp: int) -> None:
        """The job had nothing left, unless `add` was called after the turn was taken."""
        if self._jobs[priority].get(job_id) == stamp:
            del self._jobs[priority][job_id]
