"""The store against a model in plain Python, over random histories."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    initialize,
    invariant,
    precondition,
    rule,
)

from imgsvc.domain.image import Image, NewImage
from imgsvc.domain.job import JobChange
from imgsvc.domain.rendering import Failure
from imgsvc.domain.states import IMAGE_TRANSITIONS, ImageState, JobState, Priority
from imgsvc.errors import ImageErrorCode, JobClosed, NotFound
from imgsvc.store.images import ImageResult
from imgsvc.store.store import Store
from tests.store.builders import CRASHED, OUTPUT, RENDERED, key, new_image, new_job, release
from tests.store.fetch_rules import HOSTS, FetchRules, url_image
from tests.store.model import ModelImage, ModelJob

T = TypeVar("T")

FAILURES = [
    Failure(ImageErrorCode.CORRUPT_IMAGE, "It is damaged."),
    Failure(ImageErrorCode.TIMEOUT, "It took too long."),
]


Arrival = Failure | str | None
"""How an image arrives: well, failed already, or as the URL of a host."""


NOTHING_KEPT = Failure(ImageErrorCode.EMPTY_IMAGE, "Nothing was kept of it when it was sent.")
"""What failed on the way in fails of so when a cancel has made it forget its own failure."""


def arriving_image(arrival: Arrival) -> NewImage:
    if isinstance(arrival, Failure):
        return new_image(failure=arrival, size_bytes=None, sha256=None)
    return new_image() if arrival is None else url_image(arrival)


class StoreMachine(FetchRules):
    jobs = Bundle("jobs")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.Runner()
        self.store = self.run(lambda: Store.open(Path(self.folder.name) / "imgsvc.db"))
        self.store.subscribe(self.hear)
        self.model: dict[str, ModelJob] = {}
        self.told: dict[str, JobChange] = {}
        self.told_states: dict[tuple[str, int], ImageState] = {}
        self.ids: list[str] = []
        self.claims: list[Image] = []
        self.fetches: list[Image] = []
        self.now_ms = 1_000

    def teardown(self) -> None:
        self.run(self.store.close)
        self.loop.close()
        self.folder.cleanup()

    def run(self, call: Callable[[], Awaitable[T]]) -> T:
        async def wait() -> T:
            return await call()

        return self.loop.run(wait())

    def hear(self, changes: Sequence[JobChange]) -> None:
        for change in changes:
            before = self.told.get(change.job.id)
            numbers = [image.seq for image in change.images] + [change.job.seq]
            first = 1 if before is None else before.job.seq + 1
            assert numbers == list(range(first, first + len(numbers)))
            self.told[change.job.id] = change
            for changed in change.images:
                self.check_transition(changed.image)

    def check_transition(self, image: Image) -> None:
        place = (image.job_id, image.index)
        before = self.told_states.get(place)
        if before is not None:
            assert image.state in IMAGE_TRANSITIONS[before]
        self.told_states[place] = image.state

    def tick(self) -> int:
        self.now_ms += 1_000
        return self.now_ms

    @rule(
        target=jobs,
        arrivals=st.lists(st.sampled_from([None, *FAILURES, *HOSTS, *HOSTS]), max_size=5),
        is_open=st.booleans(),
        hidden=st.booleans(),
        priority=st.sampled_from(Priority),
    )
    def create(
        self, arrivals: list[Arrival], is_open: bool, hidden: bool, priority: Priority
    ) -> str:
        new, now = new_job(open=is_open, hidden=hidden, priority=priority), self.tick()
        images = [arriving_image(arrival) for arrival in arrivals]
        self.run(lambda: self.store.create_job(new, images, now))
        job = self.model[new.id] = ModelJob(is_open, hidden, priority)
        job.images = [self.model_image(arrival) for arrival in arrivals]
        job.settle(now)
        self.ids.append(new.id)
        return new.id

    @rule(job_id=jobs, arrivals=st.lists(st.sampled_from([None, *FAILURES, *HOSTS]), max_size=3))
    def append(self, job_id: str, arrivals: list[Arrival]) -> None:
        now = self.tick()
        images = [arriving_image(arrival) for arrival in arrivals]
        job = self.model.get(job_id)
        try:
            _, accepted = self.run(lambda: self.store.append_images(job_id, images, now))
        except NotFound:
            assert job is None
            return
        except JobClosed:
            assert job is not None
            assert not job.open
            return
        assert job is not None
        assert job.open
        assert [index for index, _ in accepted] == [
            len(job.images) + n for n in range(len(arrivals))
        ]
        job.images += [self.model_image(arrival) for arrival in arrivals]
        if arrivals:
            job.changed(len(arrivals), now)

    @rule(job_id=jobs)
    def close(self, job_id: str) -> None:
        now, job = self.tick(), self.model.get(job_id)
        if job is None:
            self.refused(lambda: self.store.close_job(job_id, now))
            return
        self.run(lambda: self.store.close_job(job_id, now))
        if job.open or job.hidden:
            job.open = job.hidden = False
            job.changed(0, now)

    def take_claims(self, numbers: Sequence[int]) -> list[Image]:
        """Some of the claims that nothing has been reported for yet, current or not."""
        return [
            self.claims.pop(number % len(self.claims)) for number in numbers[: len(self.claims)]
        ]

    @precondition(lambda self: self.ids)
    @rule(
        numbers=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 3)), min_size=1, max_size=3)
    )
    def claim(self, numbers: list[tuple[int, int]]) -> None:
        now = self.tick()
        picks = [(self.ids[-1 - number % len(self.ids)], count) for number, count in numbers]
        images = self.run(lambda: self.store.claim_images(picks, now))
        wanted: Counter[str] = Counter()
        for job_id, count in picks:
            if count:  # a job's turn is that of its first pick which wants anything
                wanted[job_id] += count
        expected: list[tuple[str, int, int]] = []
        for job_id, count in wanted.items():
            if job_id in self.model:
                expected += self.claim_in_model(job_id, count, now)
        assert [(image.job_id, image.index, image.claim) for image in images] == expected
        self.claims += [image for image in images if image.state is ImageState.PROCESSING]

    def claim_in_model(self, job_id: str, count: int, now_ms: int) -> list[tuple[str, int, int]]:
        job = self.model[job_id]
        claimed = [
            (index, image)
            for index, image in enumerate(job.images)
            if image.state is ImageState.PENDING
            and image.fetch_at is None
            and (image.not_before or 0) <= now_ms
        ][:count]
        for _, image in claimed:
            image.claim += 1
            if not image.is_void:
                image.state, image.not_before = ImageState.PROCESSING, None
                image.attempts += 1
        ended = self.fail_void(job) if any(image.is_void for _, image in claimed) else []
        begun = [(index, image) for index, image in claimed if not image.is_void]
        changed = sorted(begun + ended, key=itemgetter(0))
        if changed:
            job.start(len(changed), now_ms)
        return [(job_id, index, image.claim) for index, image in changed]

    @staticmethod
    def fail_void(job: ModelJob) -> list[tuple[int, ModelImage]]:
        """All that failed on the way in and wait again fail of the same, whoever was claimed."""
        ended = [
            (index, image)
            for index, image in enumerate(job.images)
            if image.is_void and image.state is ImageState.PENDING
        ]
        for _, image in ended:
            image.state = ImageState.FAILED
            image.error, image.last_error = image.last_error or NOTHING_KEPT, None
        return ended

    @precondition(lambda self: self.claims)
    @rule(
        numbers=st.lists(st.integers(0, 99), min_size=1, max_size=4),
        failure=st.sampled_from([None, *FAILURES]),
        late=st.booleans(),
    )
    def finish(self, numbers: list[int], failure: Failure | None, late: bool) -> None:
        now, images = self.tick(), self.take_claims(numbers)
        results = [ImageResult(key(image), failure or RENDERED) for image in images]
        results += results[:1] if late else []
        won = self.run(lambda: self.store.finish_images(results, now))
        state = ImageState.FAILED if failure else ImageState.COMPLETED
        assert won == self.end_tries([*images, *images[: len(results) - len(images)]], state)
        for image, is_won in zip(images, won, strict=False):
            if is_won:
                mine = self.model[image.job_id].images[image.index]
                mine.error, mine.last_error = failure, None
        for job_id, count in self.wins(images, won).items():
            self.model[job_id].changed(count, now)

    @precondition(lambda self: self.claims)
    @rule(
        numbers=st.lists(st.integers(0, 99), min_size=1, max_size=3),
        counts=st.booleans(),
        failure=st.sampled_from([None, *FAILURES, CRASHED]),
        delay_ms=st.sampled_from([None, 500, 4_000]),
    )
    def release(
        self, numbers: list[int], counts: bool, failure: Failure | None, delay_ms: int | None
    ) -> None:
        now, images = self.tick(), self.take_claims(numbers)
        not_before = delay_ms and now + delay_ms
        releases = [
            release(image, count_attempt=counts, last_error=failure, not_before=not_before)
            for image in images
        ]
        won = self.run(lambda: self.store.release_images(releases, now))
        assert won == self.end_tries(images, ImageState.PENDING)
        for image, is_won in zip(images, won, strict=True):
            if is_won:
                mine = self.model[image.job_id].images[image.index]
                mine.attempts -= not counts
                mine.last_error, mine.not_before = failure or mine.last_error, not_before
                mine.has_crashed |= counts and failure == CRASHED
        for job_id, count in self.wins(images, won).items():
            self.model[job_id].changed(count, now)

    def end_tries(self, images: Sequence[Image], state: ImageState) -> list[bool]:
        """Which of the dispatches are still the current ones; those end in `state`."""
        won = []
        for image in images:
            job = self.model.get(image.job_id)
            mine = job and job.images[image.index]
            is_won = (
                mine is not None
                and mine.state is ImageState.PROCESSING
                and mine.claim == image.claim
            )
            if mine is not None and is_won:
                mine.state = state
            won.append(is_won)
        return won

    @staticmethod
    def wins(images: Sequence[Image], won: Sequence[bool]) -> Counter[str]:
        return Counter(i.job_id for i, is_won in zip(images, won, strict=False) if is_won)

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        now, job = self.tick(), self.model.get(job_id)
        if job is None:
            self.refused(lambda: self.store.cancel_job(job_id, now))
            return
        self.run(lambda: self.store.cancel_job(job_id, now))
        if job.state.is_final:
            return
        waiting = job.waiting()
        for image in waiting:
            image.attempts -= image.state is not ImageState.PENDING
            image.state = ImageState.CANCELLED
            image.last_error = image.not_before = image.fetch_at = None
        job.open = False
        job.changed(len(waiting), now)

    @rule(
        job_id=jobs,
        codes=st.sampled_from([None, ["timeout"], ["timeout", "corrupt_image"], []]),
        indexes=st.none() | st.sets(st.integers(0, 6), max_size=3),
    )
    def retry(self, job_id: str, codes: list[str] | None, indexes: set[int] | None) -> None:
        now, job = self.tick(), self.model.get(job_id)
        if job is None or job.hidden:
            self.refused(lambda: self.store.retry_images(job_id))
            return
        self.run(lambda: self.store.retry_images(job_id, codes=codes, indexes=indexes))
        again = [
            image
            for index, image in enumerate(job.images)
            if image.state in (ImageState.FAILED, ImageState.CANCELLED)
            and (codes is None or (image.error is not None and image.error.code in codes))
            and (indexes is None or index in indexes)
        ]
        for image in again:
            image.state, image.attempts = ImageState.PENDING, 0
            image.error, image.last_error = None, image.error
            image.has_crashed = False
            image.fetch_at = 0 if image.lacks_bytes else None
        if again:
            if job.state.is_final:
                job.state, job.finished_at = JobState.PROCESSING, None
            job.changed(len(again), now)

    @rule(job_id=jobs)
    def delete(self, job_id: str) -> None:
        is_there = self.model.pop(job_id, None) is not None
        assert self.run(lambda: self.store.delete_job(job_id)) is is_there
        if is_there:
            assert self.told.pop(job_id).deleted

    @rule()
    def recover(self) -> None:
        now = self.tick()
        recovered = self.run(lambda: self.store.recover(now))
        hidden = {job_id for job_id, job in self.model.items() if job.hidden}
        assert set(recovered.hidden_jobs) == hidden
        for job_id in hidden:
            del self.model[job_id], self.told[job_id]
        released = 0
        for job in self.model.values():
            running = [image for image in job.waiting() if image.state is not ImageState.PENDING]
            for image in running:
                image.state = ImageState.PENDING
                image.attempts -= 1
            if running:
                job.changed(len(running), now)
            released += len(running)
        assert recovered.images == released

    @invariant()
    def agree(self) -> None:
        if hasattr(self, "store"):
            self.run(self.compare)

    async def compare(self) -> None:
        waiting = 0
        for job_id, model in self.model.items():
            job = await self.store.job(job_id, hidden=True)
            assert self.told[job_id].job == job
            assert (job.state, job.open, job.hidden) == (model.state, model.open, model.hidden)
            assert (job.seq, job.finished_at) == (model.seq, model.finished_at)
            assert (job.total, job.completed, job.failed, job.cancelled) == (
                len(model.images),
                model.count(ImageState.COMPLETED),
                model.count(ImageState.FAILED),
                model.count(ImageState.CANCELLED),
            )
            assert job.errors == Counter(i.error.code.value for i in model.images if i.error)
            assert job.output_bytes == job.completed * OUTPUT.size_bytes
            left = model.waiting()
            assert job.remaining_ms == sum(image.cost_ms for image in left)
            assert job.unfetched == sum(image.lacks_bytes for image in left)
            assert job.input_bytes == sum(image.size_bytes for image in model.images)
            waiting += job.total - job.finished_images
            if not model.hidden:
                await self.compare_images(job_id, model)
        assert self.store.pending_images == waiting
        await self.compare_queues()
        assert await self.store.job_ids(self.model) == set(self.model)

    async def compare_images(self, job_id: str, model: ModelJob) -> None:
        images, _ = await self.store.images(job_id, limit=100)
        assert [
            (
                (i.state, i.attempts, i.claim, i.error, i.last_error, i.has_crashed),
                len(i.outputs),
            )
            for i in images
        ] == [
            (
                (i.state, i.attempts, i.claim, i.error, i.last_error, i.has_crashed),
                int(i.state is ImageState.COMPLETED),
            )
            for i in model.images
        ]

    def refused(self, call: Callable[[], Awaitable[object]]) -> None:
        try:
            self.run(call)
        except NotFound:
            return
        raise AssertionError("a job that is not there was found")

    @staticmethod
    def model_image(arrival: Arrival) -> ModelImage:
        if isinstance(arrival, Failure):
            return ModelImage(ImageState.FAILED, error=arrival, size_bytes=0, is_void=True)
        if arrival is not None:
            return ModelImage(host=arrival, size_bytes=0, fetch_at=0)
        return ModelImage()


TestStoreAgainstItsModel = StoreMachine.TestCase
TestStoreAgainstItsModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
pytestmark = pytest.mark.timeout(600)  # much work for one test
