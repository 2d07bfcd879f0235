"""What happens to images by URL in a random history of the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import product
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from imgsvc.domain.image import Image, NewImage, SourceKind
from imgsvc.domain.rendering import Failure
from imgsvc.domain.states import ImageState, Priority
from imgsvc.errors import ImageErrorCode
from imgsvc.store.fetches import FetchedInput, FetchFailure, FetchPick, FetchRelease
from imgsvc.store.store import Store
from tests.store.builders import new_image
from tests.store.model import ModelImage, ModelJob

T = TypeVar("T")

HOSTS = ["a.example", "b.example"]
BROKEN_OFF = Failure(ImageErrorCode.FETCH_FAILED, "The connection broke off.")
FETCHED_BYTES = 400
FETCHED_COST_MS = 11


def url_image(host: str) -> NewImage:
    return new_image(
        kind=SourceKind.URL, url=f"https://{host}/", fetch_host=host, size_bytes=None, sha256=None
    )


class FetchRules(RuleBasedStateMachine):
    """fetches: tries that nothing was reported for yet, current or not."""

    store: Store
    model: dict[str, ModelJob]
    ids: list[str]
    fetches: list[Image]
    run: Callable[[Callable[[], Awaitable[T]]], T]
    tick: Callable[[], int]

    @precondition(lambda self: self.waiting())
    @rule(
        numbers=st.lists(
            st.tuples(st.integers(0, 99), st.integers(0, 5), st.integers(1, 3)),
            min_size=1,
            max_size=3,
        )
    )
    def begin_fetches(self, numbers: list[tuple[int, int, int]]) -> None:
        """Of a job and a host with images, mostly; or of the host and another job."""
        now, waiting = self.tick(), sorted(self.waiting())
        places = [(*waiting[number % len(waiting)], other, most) for number, other, most in numbers]
        wanted = [
            FetchPick(
                self.model[job_id].priority, host, self.ids[-other] if other else job_id, most
            )
            for job_id, host, other, most in places
            if other <= len(self.ids)
        ]
        images = self.run(lambda: self.store.begin_fetches(wanted, now))
        chosen = {place for pick in wanted for place in self.choose(pick)}
        for job_id, index in chosen:
            mine = self.model[job_id].images[index]
            mine.state = ImageState.FETCHING
            mine.attempts += 1
            mine.claim += 1
        for job_id in {job_id for job_id, _ in chosen}:
            self.model[job_id].start(sum(job_id == other for other, _ in chosen), now)
        assert {(image.job_id, image.index) for image in images} == chosen
        self.fetches += images

    def waiting(self) -> set[tuple[str, str]]:
        """The jobs and hosts of images that can be fetched now."""
        return {
            (job_id, image.host or "")
            for job_id, job in self.model.items()
            for image in job.images
            if image.can_be_fetched()
        }

    def choose(self, pick: FetchPick) -> list[tuple[str, int]]:
        """The job and the index of each image whose turn it is."""
        there = [
            (job_id, index)
            for job_id, job in sorted(self.model.items())
            if job.priority is pick.priority
            for index, image in enumerate(job.images)
            if image.can_be_fetched() and image.host == pick.host
        ]
        later = [place for place in there if place[0] >= pick.job_id]
        in_turn = later or there
        return [place for place in in_turn if place[0] == in_turn[0][0]][: pick.count]

    def end_fetch(self, number: int) -> tuple[Image, ModelImage | None]:
        """One of the tries; and the image in the model where it is still the current one."""
        image = self.fetches.pop(number % len(self.fetches))
        if image.job_id not in self.model:
            return image, None
        mine = self.model[image.job_id].images[image.index]
        is_current = (mine.state, mine.claim) == (ImageState.FETCHING, image.claim)
        return image, mine if is_current else None

    @precondition(lambda self: self.fetches)
    @rule(number=st.integers(0, 99))
    def finish_fetch(self, number: int) -> None:
        now = self.tick()
        image, mine = self.end_fetch(number)
        fetched = FetchedInput(
            image.key, FETCHED_BYTES, "ef" * 32, FETCHED_COST_MS, guessed_ms=image.cost_ms
        )
        job = self.run(lambda: self.store.finish_fetch(fetched, now))
        assert (job is not None) is (mine is not None)
        if mine is not None:
            mine.state, mine.fetch_at, mine.last_error = ImageState.PENDING, None, None
            mine.size_bytes, mine.cost_ms = FETCHED_BYTES, FETCHED_COST_MS
            mine.attempts -= 1
            self.model[image.job_id].changed(1, now)

    @precondition(lambda self: self.fetches)
    @rule(number=st.integers(0, 99), counts=st.booleans())
    def fail_fetch(self, number: int, counts: bool) -> None:
        now = self.tick()
        image, mine = self.end_fetch(number)
        failed = FetchFailure(image.key, BROKEN_OFF, counts)
        assert self.run(lambda: self.store.fail_fetch(failed, now)) is (mine is not None)
        if mine is not None:
            mine.state, mine.error = ImageState.FAILED, BROKEN_OFF
            mine.last_error = mine.fetch_at = None
            mine.attempts -= not counts
            self.model[image.job_id].changed(1, now)

    @precondition(lambda self: self.fetches)
    @rule(
        number=st.integers(0, 99),
        counts=st.booleans(),
        failure=st.sampled_from([None, BROKEN_OFF]),
        delay_ms=st.sampled_from([None, 500, 4_000]),
        host=st.sampled_from([None, *HOSTS]),
    )
    def release_fetch(
        self,
        number: int,
        counts: bool,
        failure: Failure | None,
        delay_ms: int | None,
        host: str | None,
    ) -> None:
        now = self.tick()
        image, mine = self.end_fetch(number)
        fetch_at = now + delay_ms if delay_ms else 0
        release = FetchRelease(image.key, counts, failure, fetch_at, host)
        assert self.run(lambda: self.store.release_fetch(release, now)) is (mine is not None)
        if mine is not None:
            mine.state, mine.fetch_at = ImageState.PENDING, fetch_at
            mine.last_error = failure or mine.last_error
            mine.host = host or mine.host
            mine.attempts -= not counts
            self.model[image.job_id].changed(1, now)

    @rule()
    def ripen_fetches(self) -> None:
        now = self.tick()
        later = [
            image
            for job in self.model.values()
            for image in job.images
            if image.state is ImageState.PENDING and image.fetch_at
        ]
        first = min((image.fetch_at or 0 for image in later), default=None)
        assert self.run(self.store.next_fetch_ms) == first
        ripe = [image for image in later if (image.fetch_at or 0) <= now]
        assert self.run(lambda: self.store.ripen_fetches(now, 100)) == len(ripe)
        for image in ripe:
            image.fetch_at = 0

    async def compare_queues(self) -> None:
        """Who can be asked now, and for whom."""
        for priority in Priority:
            waiting = {p for p in self.waiting() if self.model[p[0]].priority is priority}
            jobs = await self.store.jobs_to_fetch(priority, "", 99)
            assert jobs == sorted({job_id for job_id, _ in waiting})
            hosts = await self.store.hosts_to_fetch(priority, 99)
            assert hosts == sorted({host for _, host in waiting})
            for last, busy, limit in product(["", *HOSTS], ([], HOSTS[:1]), (1, 9)):
                asked = dict.fromkeys(self.ids, last)
                offers = await self.store.fetch_offers(priority, asked, busy, limit)
                in_turn = [h for h in HOSTS if h > last] + [h for h in HOSTS if h <= last]
                assert offers == {
                    job_id: [h for h in in_turn if (job_id, h) in waiting and h not in busy][:limit]
                    for job_id in self.ids
                }
