"""What is fetched next: strict by priority, and the same share for each job of one priority."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from imgsvc.domain.states import Priority
from imgsvc.fetching.turns import FetchTurns
from imgsvc.store.fetches import FetchPick
from imgsvc.store.store import Store

JOBS_AT_ONCE = 100
"""Jobs that are looked at in one round, so that its cost does not grow with their number."""

HOSTS_AT_LEAST = 8
"""Hosts that are looked at of each job, where there is room for as many images: many jobs may have
the same ones, and if it were one, no more would begin in a round than one host may be asked for.
"""


@dataclass(frozen=True, slots=True)
class _Hosts:
    """Whom a job's images can be fetched from. is_cut: there may be others."""

    in_turn: deque[str]
    is_cut: bool

    def next(self, has_room: Callable[[str], bool]) -> str | None:
        """The next one with room; the others are forgotten."""
        while self.in_turn:
            host = self.in_turn.popleft()
            if has_room(host):
                if not self.is_cut:
                    self.in_turn.append(host)
                return host
        return None


_PRIORITIES = sorted(Priority, key=lambda priority: priority.rank)


class Picker:
    """Chooses in rounds; each one is to be begun before the next."""

    def __init__(self, store: Store, turns: FetchTurns) -> None:
        self._store = store
        self._turns = turns

    async def pick(self, room: int) -> list[FetchPick]:
        """For at most `room` images, all of one priority; none when there is nothing to fetch, or
        nobody to be asked. A place that comes free meanwhile is not seen: it would go to a lower
        priority than waits for it.
        """
        if room <= 0:
            return []
        busy = self._turns.busy_hosts()
        for priority in _PRIORITIES:
            jobs = await self._jobs_in_turn(priority)
            if jobs and (picks := await self._pick_of(priority, jobs, room, busy)):
                return picks
        return []

    async def _pick_of(
        self, priority: Priority, jobs: list[str], room: int, busy: list[str]
    ) -> list[FetchPick]:
        hosts = await self._hosts_in_turn(priority, jobs, room, busy)
        dealt = self._deal(hosts, room)
        self._turns.last_jobs[priority] = dealt[-1][0] if dealt else jobs[-1]
        for job_id, host in dealt:
            self._turns.note_turn(host, job_id)
        if dealt:
            counts = Counter(dealt).items()
            return [FetchPick(priority, host, job_id, count) for (job_id, host), count in counts]
        # None of these jobs has anybody to be asked, but others may have.
        # Only busy hosts can be passed over.
        found = await self._store.hosts_to_fetch(priority, room + len(busy))
        left_out = frozenset(busy)
        free = [host for host in found if host not in left_out and self._turns.room(host)]
        return [FetchPick(priority, host, jobs[-1]) for host in free[:room]]

    def _deal(self, hosts: dict[str, _Hosts], room: int) -> list[tuple[str, str]]:
        """The job and the host of one image after the other: always of a job that has the fewest
        in flight, so that those which get no answer never fill the places of others. Nobody
        knows how many images a job has at a host; where they are fewer, the next round goes on.
        """
        dealt: list[tuple[str, str]] = []
        taken: Counter[str] = Counter()
        shares = {job_id: self._turns.in_flight_of(job_id) for job_id in hosts}
        while shares:
            fewest = min(shares.values())
            for job_id in [job_id for job_id, share in shares.items() if share == fewest]:
                host = hosts[job_id].next(lambda host: self._turns.room(host) > taken[host])
                if len(dealt) == room or (host is None and hosts[job_id].is_cut):
                    return dealt
                if host is None:
                    del shares[job_id]
                else:
                    dealt.append((job_id, host))
                    taken[host] += 1
                    shares[job_id] += 1
        return dealt

    async def _hosts_in_turn(
        self, priority: Priority, jobs: list[str], room: int, busy: list[str]
    ) -> dict[str, _Hosts]:
        last_hosts = {job_id: self._turns.last_host(job_id) for job_id in jobs}
        most = max(2 * room // len(jobs), min(room, HOSTS_AT_LEAST))
        offers = await self._store.fetch_offers(priority, last_hosts, busy, most)
        return {
            job_id: _Hosts(deque(found), len(found) == most) for job_id, found in offers.items()
        }

    async def _jobs_in_turn(self, priority: Priority) -> list[str]:
        last = self._turns.last_jobs[priority]
        jobs = await self._store.jobs_to_fetch(priority, last, JOBS_AT_ONCE)
        if last and len(jobs) < JOBS_AT_ONCE:
            first = await self._store.jobs_to_fetch(priority, "", JOBS_AT_ONCE - len(jobs))
            jobs += [job_id for job_id in first if job_id <= last]
        return jobs
