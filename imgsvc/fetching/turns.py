"""Whose turn it is to be fetched: host after host, and within a host job after job.

Pure bookkeeping. What waits stands in the database alone, however much it is.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

MAX_REMEMBERED = 10_000
"""Hosts of which is known whose turn was last; of others the oldest job comes first."""


class HostTurns:
    """per_host: images fetched from one host at the same time.

    last_host: who had a turn last, "" before the first one.
    """

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._in_flight: Counter[str] = Counter()
        self._last_jobs: OrderedDict[str, str] = OrderedDict()
        self.last_host = ""

    @property
    def busy_hosts(self) -> int:
        return len(self._in_flight)

    def has_room(self, host: str, *, on_trial: bool) -> bool:
        """on_trial: it gets a single image."""
        return self._in_flight[host] < (1 if on_trial else self._per_host)

    def last_job(self, host: str) -> str:
        """Whose image was fetched from the host last; "" when nobody knows."""
        return self._last_jobs.get(host, "")

    def begin(self, host: str, job_id: str) -> None:
        self._in_flight[host] += 1
        self._last_jobs[host] = job_id
        self._last_jobs.move_to_end(host)
        if len(self._last_jobs) > MAX_REMEMBERED:
            self._last_jobs.popitem(last=False)
        self.last_host = host

    def end(self, host: str) -> None:
        self._in_flight[host] -= 1
        if not self._in_flight[host]:
            del self._in_flight[host]
