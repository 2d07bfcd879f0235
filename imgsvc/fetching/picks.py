"""What is fetched next: strict by priority, and the same share for each job of one priority."""

from __future__ import annotations

from collections import Counter

from imgsvc.domain.states import Priority
from imgsvc.fetching.turns import FetchTurns
from imgsvc.store.fetches import FetchPick
from imgsvc.store.store import Store

JOBS_AT_ONCE = 100
"""Jobs that are looked at in one round, so that its cost does not grow with their number."""

_PRIORITIES = sorted(Priority, key=lambda priority: priority.rank)


class Picker:
    """Chooses in rounds; each one is to be begun before the next."""

    def __init__(self, store: Store, turns: FetchTurns) -> None:
        self._store = store
        self._turns = turns

    async def pick(self, room: int) -> list[FetchPick]:
        """At most `room` picks, all of one priority; none when there is nothing to fetch, or
        nobody to be asked.
        """
        if room <= 0:
            return []
        busy = self._turns.busy_hosts()
        for priority in _PRIORITIES:
            # Only busy hosts can be passed over.
            hosts = await self._store.hosts_to_fetch(priority, room + len(busy))
            free = [host for host in hosts if self._turns.room(host)]
            if free and (picks := await self._pick_of(priority, free, busy, room)):
                return picks
        return []

    async def _pick_of(
        self, priority: Priority, free: list[str], busy: list[str], room: int
    ) -> list[FetchPick]:
        """free: hosts with room and images, as many as could be needed."""
        jobs = await self._jobs_in_turn(priority)
        picks = await self._pick_in_turn(priority, jobs, busy, room)
        if jobs:
            self._turns.last_jobs[priority] = picks[-1].job_id if picks else jobs[-1]
        if picks or not jobs:
            return picks
        # None of these jobs has anybody to be asked, but others have.
        still_free = [host for host in free if self._turns.room(host)]
        return [FetchPick(priority, host, jobs[-1]) for host in still_free[:room]]

    async def _pick_in_turn(
        self, priority: Priority, jobs: list[str], busy: list[str], room: int
    ) -> list[FetchPick]:
        """One image after the other, always of a job that has the fewest in flight, so that those
        which get no answer never fill the places of others. Until that is one which had an image
        of the same host: a pick says no more than job and host, so it is the next round's.
        """
        picks: dict[FetchPick, None] = {}
        taken: Counter[str] = Counter()
        full = set(busy)
        shares = {job_id: self._turns.in_flight_of(job_id) for job_id in jobs}
        last_hosts = {job_id: self._turns.last_host(job_id) for job_id in jobs}
        while shares and len(picks) < room:
            fewest = min(shares.values())
            next_jobs = {job: last_hosts[job] for job, share in shares.items() if share == fewest}
            offers = await self._store.fetch_offers(priority, next_jobs, list(full))
            for job_id in next_jobs:
                host = offers.get(job_id, "")
                pick = FetchPick(priority, host, job_id)
                if pick in picks or len(picks) == room:
                    return list(picks)
                if not host:
                    del shares[job_id]
                elif taken[host] >= self._turns.room(host):
                    full.add(host)
                else:
                    picks[pick] = None
                    taken[host] += 1
                    shares[job_id] += 1
                    last_hosts[job_id] = host
        return list(picks)

    async def _jobs_in_turn(self, priority: Priority) -> list[str]:
        last = self._turns.last_jobs[priority]
        jobs = await self._store.jobs_to_fetch(priority, last, JOBS_AT_ONCE)
        if last and len(jobs) < JOBS_AT_ONCE:
            first = await self._store.jobs_to_fetch(priority, "", JOBS_AT_ONCE - len(jobs))
            jobs += [job_id for job_id in first if job_id <= last]
        return jobs
