"""Whose turn it is to be fetched: job after job, and within a job host after host.

Pure bookkeeping. What waits stands in the database alone, however much it is.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable

from imgsvc.domain.states import Priority

MAX_REMEMBERED = 10_000
"""Jobs of which is known which host had a turn last; of others the first host comes first."""


class FetchTurns:
    """per_host: images fetched from one host at the same time.

    is_on_trial: says of a host that it gets a single one.
    last_jobs: of each priority whose turn was last, "" before the first one.
    """

    def __init__(self, per_host: int, is_on_trial: Callable[[str], bool]) -> None:
        self._per_host = per_host
        self._is_on_trial = is_on_trial
        self._in_flight: Counter[str] = Counter()
        self._in_flight_of: Counter[str] = Counter()
        self._last_hosts: OrderedDict[str, str] = OrderedDict()
        self.last_jobs = dict.fromkeys(Priority, "")

    def room(self, host: str) -> int:
        """How many more images may be fetched from the host."""
        most = 1 if self._is_on_trial(host) else self._per_host
        return max(most - self._in_flight[host], 0)

    def in_flight_of(self, job_id: str) -> int:
        """Images of the job that are being fetched."""
        return self._in_flight_of[job_id]

    def busy_hosts(self) -> list[str]:
        """Hosts without room."""
        return [host for host in list(self._in_flight) if not self.room(host)]

    def last_host(self, job_id: str) -> str:
        """Which of the job's hosts had a turn last; "" when nobody knows."""
        return self._last_hosts.get(job_id, "")

    def note_turn(self, host: str, job_id: str) -> None:
        """In the order of the turns, which is not that in which images begin."""
        self._last_hosts[job_id] = host
        self._last_hosts.move_to_end(job_id)
        if len(self._last_hosts) > MAX_REMEMBERED:
            self._last_hosts.popitem(last=False)

    def begin(self, host: str, job_id: str) -> None:
        self._in_flight[host] += 1
        self._in_flight_of[job_id] += 1

    def end(self, host: str, job_id: str) -> None:
        for counter, key in ((self._in_flight, host), (self._in_flight_of, job_id)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]
