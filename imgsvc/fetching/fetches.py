"""Fetches in the background: keeps the places filled, and writes down what comes of each.

Files before rows, as everywhere: an image has its bytes only when they are on stable storage.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.stage import Stage
from imgsvc.domain.ids import created_ms, earliest_id
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job, JobChange
from imgsvc.domain.rendering import Failure
from imgsvc.domain.retries import MAX_LEFT_ALONE_S, STORAGE_DELAY_S, Retry, Trouble, decide_retry
from imgsvc.domain.states import ImageState
from imgsvc.domain.times import now_ms
from imgsvc.errors import ImageErrorCode, NotFound, StorageFull
from imgsvc.fetching.breakers import Breakers
from imgsvc.fetching.fetcher import Fetcher
from imgsvc.fetching.picks import Picker
from imgsvc.fetching.turns import FetchTurns
from imgsvc.fetching.unfetched import LedOn, Unfetched
from imgsvc.fetching.ways import Way, way_of
from imgsvc.intake.headers import read_header
from imgsvc.net.guard import find_host
from imgsvc.recipes.cost import predict_cost_ms
from imgsvc.store.fetches import FetchDelay, FetchedInput, FetchFailure, FetchRelease
from imgsvc.store.full_disk import FullDisk
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

RIPEN_AT_ONCE = 500
"""Images that are let wait no longer by one write."""

RECORD_S = 5.0
"""How long it may take at the end to write down what was broken off."""

_NOT_KEPT = Failure(ImageErrorCode.INTERNAL, "The image could not be fetched and kept.")


@dataclass(frozen=True, slots=True)
class _Try:
    image: Image
    task: asyncio.Task[None]


class Fetches:
    """concurrency: images fetched at the same time. reserve_bytes: free disk below which none
    is begun. clock: milliseconds since 1970.

    on_fetched: told of a job that has an image for the dispatcher, committed.
    """

    def __init__(
        self,
        store: Store,
        blobs: BlobStore,
        fetcher: Fetcher,
        breakers: Breakers,
        *,
        per_host: int,
        concurrency: int,
        reserve_bytes: int,
        on_fetched: Callable[[Job], None],
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._fetcher = fetcher
        self._breakers = breakers
        self._concurrency = concurrency
        self._reserve_bytes = reserve_bytes
        self._on_fetched = on_fetched
        self._clock = clock
        self._clock_set_ms = clock()  # the start, as far as we know
        self._turns = FetchTurns(per_host, breakers.is_on_trial)
        self._picker = Picker(store, self._turns)
        self._disk = FullDisk("fetches")
        self._tasks: dict[str, set[asyncio.Task[None]]] = {}
        self._open: dict[str, _Try] = {}
        self._wake = asyncio.Event()
        self._wake.set()
        self._timer: asyncio.TimerHandle | None = None
        self._round = asyncio.Lock()
        self._stopping = False
        self._failure: BaseException | None = None

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    @property
    def hosts_left_alone(self) -> int:
        """How many hosts are not asked for a while, because they kept failing."""
        return self._breakers.left_alone

    def follow(self, changes: Sequence[JobChange]) -> None:
        """Called with the changes of every commit, in their order: what has begun is fetched,
        what nobody wants any more is broken off.
        """
        for change in changes:
            if change.deleted:
                self._break_off_job(change.job.id)
            for changed in change.images:
                if changed.image.state is ImageState.FETCHING:
                    self._begin(changed.image, change.job)
                elif changed.image.id in self._open:
                    self._open[changed.image.id].task.cancel()
            if _may_bring_work(change):
                self._wake.set()

    def end_pauses(self, hosts: Collection[str]) -> None:
        """Have those of `hosts` be asked again that are left alone."""
        self._breakers.end_pauses(hosts)
        self._wake.set()

    def clock_was_set(self, by_ms: int) -> None:
        """What waits in the database was moved with it."""
        self._breakers.move(by_ms)
        self._clock_set_ms = self._clock()
        self._wake.set()

    async def run(self) -> None:
        """Begin fetches whenever there is room and work. Raises what a fetch died of."""
        while self._failure is None:
            await self._wake.wait()
            self._wake.clear()
            await self.run_once()
        raise self._failure

    async def run_once(self) -> None:
        """Begin fetches until there is no room, or nothing to begin."""
        async with self._round:
            try:
                while not self._stopping:
                    await self._ripen()
                    picks = await self._picker.pick(self._concurrency - len(self._tasks))
                    if not picks:
                        return
                    await self._check_space()
                    picks = [replace(pick, delay=self._delay(pick.host)) for pick in picks]
                    await self._store.begin_fetches(picks, self._clock())
            except StorageFull:
                self._wake_in(STORAGE_DELAY_S)

    async def settle(self) -> None:
        """Return when everything that has begun has come to its end."""
        while tasks := self._all_tasks():
            await asyncio.wait(tasks)

    async def stop(self) -> None:
        """Begin no more, break off what runs: it is fetched again, and loses no try."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        async with self._round:
            await asyncio.sleep(0)  # a task that never began could not give its image back
            for begun in self._open.values():
                begun.task.cancel()
            await self._end_all()
        await self._fetcher.close()

    async def _end_all(self) -> None:
        """A disk that stays full would hold this up; what is not written down is done again."""
        if tasks := self._all_tasks():
            _, left = await asyncio.wait(tasks, timeout=RECORD_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def _all_tasks(self) -> list[asyncio.Task[None]]:
        return [task for tasks in self._tasks.values() for task in tasks]

    def _break_off_job(self, job_id: str) -> None:
        for begun in self._open.values():
            if begun.image.job_id == job_id:
                begun.task.cancel()

    async def _ripen(self) -> None:
        """Let those wait no longer whose time has come, or whose host is back before it, and come
        back for the next ones.
        """
        while self._breakers.back_early:
            host, until_ms = self._breakers.back_early[0]
            while await self._store.recall_fetches(host, until_ms, RIPEN_AT_ONCE):
                pass
            self._breakers.back_early.popleft()
        while (fetch_at := await self._store.next_fetch_ms()) is not None:
            if fetch_at > self._clock():
                self._wake_in((fetch_at - self._clock()) / 1000)
                return
            await self._store.ripen_fetches(self._clock(), RIPEN_AT_ONCE)

    def _delay(self, host: str) -> FetchDelay | None:
        """For images that would begin in vain. Of a host that is left alone for so long that some
        may have waited for too long, their ids say which; those that seem to be made later than now
        are looked at one by one.
        """
        try:
            self._breakers.check(host)
        except Unfetched as exc:
            at_ms, until_ms = self._clock(), self._breakers.until_ms(host)
            too_long_ms = at_ms - round(MAX_LEFT_ALONE_S * 1000)
            if (exc.left_alone_since_ms or 0) > too_long_ms:
                return FetchDelay(until_ms, exc.failure)
            since, before = earliest_id(too_long_ms + 1), earliest_id(at_ms + 1)
            return FetchDelay(until_ms, exc.failure, since, before)
        return None

    async def _check_space(self) -> None:
        """Raises StorageFull: what is fetched must not take the place of what is made of it."""
        await self._blobs.check_room(self._reserve_bytes)

    def _begin(self, image: Image, job: Job) -> None:
        host = image.fetch_host or ""
        tasks = self._tasks.setdefault(image.id, set())
        task = asyncio.create_task(self._fetch(image, job, frozenset(tasks)), name="fetch")
        tasks.add(task)
        self._open[image.id] = _Try(image, task)
        self._turns.begin(host, image.job_id)
        task.add_done_callback(partial(self._end, image, host))

    def _end(self, image: Image, host: str, task: asyncio.Task[None]) -> None:
        self._tasks[image.id].remove(task)
        if not self._tasks[image.id]:
            del self._tasks[image.id]
        self._close(image, task)
        self._turns.end(host, image.job_id)
        if not task.cancelled() and (exc := task.exception()):
            self._failure = exc
        self._wake.set()

    def _close(self, image: Image, task: asyncio.Task[None] | None) -> None:
        """From now on it is not broken off: what came of it is about to be written down."""
        begun = self._open.get(image.id)
        if begun is not None and begun.task is task:
            del self._open[image.id]

    async def _fetch(self, image: Image, job: Job, before: Set[asyncio.Task[None]]) -> None:
        """before: earlier tries that are being broken off; they share a file."""
        stage = self._blobs.stage_late(image.job_id)
        way = way_of(image)
        try:
            if before:
                await asyncio.wait(before)
            fetched = await self._receive(image, job, way, stage)
        except asyncio.CancelledError:
            self._close(image, asyncio.current_task())
            await stage.discard()
            release = FetchRelease(image.key, count_attempt=False, way=image.fetch_way)
            await self._release(image, release)
            raise
        except LedOn as exc:
            self._close(image, asyncio.current_task())
            await stage.discard()
            release = FetchRelease(image.key, count_attempt=False, host=exc.host, way=way.dump())
            await self._release(image, release)
        except Unfetched as exc:
            self._close(image, asyncio.current_task())
            await stage.discard()
            if exc.failure is _NOT_KEPT:  # the whole data folder may have been moved
                await self._store.look()
            await self._fail(image, job, exc, way)
        else:
            await self._finish(fetched, stage)

    async def _receive(self, image: Image, job: Job, way: Way, stage: Stage) -> FetchedInput:
        """The bytes on stable storage. Raises LedOn and Unfetched."""
        file = stage.file_for(image.id)
        try:
            await self._fetcher.fetch(
                way,
                image.fetch_host or "",
                file,
                image.fetch_max_bytes,
                insists=image.attempts > 1,  # it was asked before, and has its three tries
            )
            size_bytes, sha256 = await file.finish()
            await stage.sync()
        except StorageFull as exc:
            raise Unfetched(Failure(ImageErrorCode.STORAGE_FULL, exc.message)) from exc
        except NotFound as exc:  # the job is gone, and nobody reads this; or its folder alone
            raise Unfetched(_NOT_KEPT) from exc
        except (LedOn, Unfetched):
            raise
        except Exception as exc:  # no URL may stop the server, and the next one after it
            # in a thread: a traceback is read from files
            facts = {"job_id": image.job_id, "index": image.index, "exc_info": exc}
            await asyncio.to_thread(log.error, "fetch_died", **facts)
            raise Unfetched(_NOT_KEPT) from exc
        self._close(image, asyncio.current_task())
        cost_ms = predict_cost_ms(job.recipe, read_header(file.head), size_bytes)
        return FetchedInput(image.key, size_bytes, sha256, cost_ms, image.cost_ms)

    async def _finish(self, fetched: FetchedInput, stage: Stage) -> None:
        job = await self._disk.insist(lambda: self._store.finish_fetch(fetched, self._clock()))
        if job is None:
            await stage.discard()
        else:
            self._on_fetched(job)

    async def _fail(self, image: Image, job: Job, exc: Unfetched, way: Way) -> None:
        """Another try begins at the image's own URL: it may be led elsewhere."""
        trouble = Trouble(
            exc.failure,
            image.attempts,
            passes=exc.passes or way.may_have_expired(self._clock()),
            retry_after_s=exc.retry_after_s,
            left_alone_s=self._left_alone_s(image, job, exc),
        )
        decision = decide_retry(trouble, random.random())  # noqa: S311 - no secret
        if not isinstance(decision, Retry):
            failure = FetchFailure(image.key, decision.failure, decision.counts)
            await self._disk.insist(lambda: self._store.fail_fetch(failure, self._clock()))
        elif exc.left_alone_since_ms is not None:
            await self._wait_for_host(image, decision.failure)
        else:
            fetch_at = self._clock() + round(decision.delay_s * 1000)
            host = find_host(image.url or "")
            release = FetchRelease(image.key, decision.counts, decision.failure, fetch_at, host)
            await self._release(image, release)

    async def _wait_for_host(self, image: Image, failure: Failure) -> None:
        """It goes on from where it was led. The host may have answered meanwhile, and `_ripen` may
        have let the others go: until when is asked as late as can be.
        """

        def put_back() -> Awaitable[bool]:
            fetch_at = self._breakers.until_ms(image.fetch_host or "")
            release = FetchRelease(image.key, False, failure, fetch_at, way=image.fetch_way)
            return self._store.release_fetch(release, self._clock())

        await self._disk.insist(put_back)

    def _left_alone_s(self, image: Image, job: Job, exc: Unfetched) -> float | None:
        """How long the image has waited for the host that was not asked; None if it was."""
        if exc.left_alone_since_ms is None:
            return None
        at_ms = self._clock()
        # Ids keep to their order, and so to the time before the clock was set back.
        times_ms = (created_ms(image.id), job.created_at, self._clock_set_ms)
        submitted_ms = next((time_ms for time_ms in times_ms if time_ms <= at_ms), at_ms)
        return (at_ms - max(exc.left_alone_since_ms, submitted_ms)) / 1000

    async def _release(self, image: Image, release: FetchRelease) -> None:
        await self._disk.insist(lambda: self._store.release_fetch(release, self._clock()))

    def _wake_in(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake.set)


def _may_bring_work(change: JobChange) -> bool:
    """A new job does not say what images it has."""
    if change.deleted or change.job.state.is_final:
        return False
    return not change.images or any(changed.image.awaits_fetch for changed in change.images)
