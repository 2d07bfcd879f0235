"""The composition root: everything but HTTP is built here, once, and taken down in order.

The server puts its app in front of the core; `imgsvc run` uses the core as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.disk import naming_full_disk
from imgsvc.blobs.layout import Layout, check_layout
from imgsvc.config import Settings, WorkerSettings
from imgsvc.dispatch.dispatcher import Dispatcher
from imgsvc.dispatch.workforce import Bounds, Workforce
from imgsvc.domain import retries
from imgsvc.domain.job import JobChange
from imgsvc.domain.rendering import DecodeLimits, Outcome, RenderTask
from imgsvc.domain.times import now_ms
from imgsvc.errors import DatabaseBroken, StartError, StorageFull
from imgsvc.fetching.breakers import LONGEST_PAUSE_S, Breakers
from imgsvc.fetching.fetcher import Fetcher
from imgsvc.fetching.fetches import Fetches
from imgsvc.files.errnos import TOO_MANY_FILES, is_disk_full
from imgsvc.progress.hub import Hub
from imgsvc.progress.pace import Paces
from imgsvc.runtime.data_folder import holding
from imgsvc.service.backup import DATABASE
from imgsvc.service.delete import Deleter
from imgsvc.service.idempotency import KEPT_S
from imgsvc.service.presets import Presets
from imgsvc.service.readiness import Readiness
from imgsvc.service.submit import Submitter
from imgsvc.service.watermarks import Watermarks
from imgsvc.store.deadlines import LongestWaits
from imgsvc.store.examination import check_inputs, end_giving_up
from imgsvc.store.lock import DataFolderLock
from imgsvc.store.store import Store
from imgsvc.store.writer import Subscriber
from imgsvc.telemetry.logs import get_logger
from imgsvc.upkeep.ballast import KeptBallast
from imgsvc.upkeep.checkpoints import Checkpoints
from imgsvc.upkeep.clock import ClockWatch
from imgsvc.upkeep.dropped import DroppedJobs
from imgsvc.upkeep.expiry import Expiry
from imgsvc.upkeep.idle import IdleJobs
from imgsvc.upkeep.keys import ExpiredKeys
from imgsvc.upkeep.memory import FreeMemory
from imgsvc.upkeep.orphans import sweep_orphans
from imgsvc.upkeep.watermarks import UnusedWatermarks
from imgsvc.webhooks import schedule
from imgsvc.workers.child import render_image
from imgsvc.workers.engine import PoolBroken
from imgsvc.workers.last_task import find_held
from imgsvc.workers.pool import WorkerPool
from imgsvc.workers.sandbox import find_gaps, protect_server

log = get_logger(__name__)

SLOTS = "slots"

RECORD_S = 10.0
"""How long the last results may take to become durable when everything stops."""

LONGEST_WAITS = LongestWaits(
    tries=round(retries.LONGEST_DELAY_S * 1000),
    fetches=round(max(retries.LONGEST_DELAY_S, LONGEST_PAUSE_S) * 1000),
    deliveries=round(schedule.LONGEST_DELAY_S * 1000),
    keys=KEPT_S * 1000,
)
_WAITS_AT_START = replace(LONGEST_WAITS, fetches=LONGEST_WAITS.tries)
"""Which hosts are left alone nobody knows any more. A wait that is no longer may be for a try."""


@dataclass
class Core:
    """Everything but HTTP, running. `failure` is done when a background task has died."""

    settings: Settings
    lock: DataFolderLock
    store: Store
    blobs: BlobStore
    hub: Hub
    paces: Paces
    pool: WorkerPool
    dispatcher: Dispatcher
    fetches: Fetches
    readiness: Readiness
    submitter: Submitter
    deleter: Deleter
    presets: Presets
    watermarks: Watermarks
    workforce: Workforce
    failure: asyncio.Future[None]
    events: asyncio.Task[None] | None = None
    is_stopped: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def keep(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a background task; its death is the core's failure."""
        task = asyncio.create_task(work, name=name)
        self.tasks.append(task)
        task.add_done_callback(self._note_end)
        return task

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self.failure.done():
            return
        if exc := task.exception():
            exc = self.store.explain_end(exc)
            self.failure.set_exception(exc)
            self.failure.exception()  # nobody has to ask for it
            if isinstance(exc, PoolBroken):  # which says why
                log.error("background_task_died", task=task.get_name(), reason=str(exc))
            elif not isinstance(exc, DatabaseBroken):  # which has been said
                log.error("background_task_died", task=task.get_name(), exc_info=exc)

    async def stop(self) -> None:
        """Take nothing new, finish what runs within the grace, make it durable, tell readers.

        May be called again; only the first call does something.
        """
        if self.is_stopped:
            return
        self.is_stopped = True
        self.readiness.draining = True
        if self.failure.done() and not self.store.has_broken_down:
            self.lock.note_failure()  # the images that it was about may be why
        else:
            await asyncio.to_thread(self.lock.note_stop)
        log.info("draining", images=self.dispatcher.in_flight, fetches=self.fetches.in_flight)
        await self.fetches.stop()
        # What could not be stored is made again: no reason to wait for it.
        grace_s = 0.0 if self.store.has_broken_down else self.settings.server.shutdown_grace_s
        await self.dispatcher.stop(grace_s)
        if self.events is not None:
            await asyncio.wait({self.events})
        if not self.failure.done():
            # A disk that stays full would hold this up; what is not recorded is done again.
            with suppress(TimeoutError):
                async with asyncio.timeout(RECORD_S):
                    await self.dispatcher.give_back()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.hub.close()


@asynccontextmanager
async def open_core(
    settings: Settings,
    render: Callable[[RenderTask], Outcome] = render_image,
    follow: Subscriber | None = None,
) -> AsyncIterator[Core]:
    """Build, recover what a crash interrupted, run; at the end drain and close.

    follow: told of every commit, those of the recovery among them.
    Raises StartError when the data folder is taken or cannot be used, its disk is full, or
    workers cannot be confined as the settings require.
    """
    _check_sandbox(settings.workers)
    data_dir = settings.storage.data_dir.absolute()
    await asyncio.to_thread(_make_folder, data_dir)
    async with holding(data_dir) as lock, _open_store(data_dir / DATABASE, lock) as store:
        blobs = BlobStore(data_dir)
        with explaining_disk(data_dir):
            await asyncio.to_thread(_check_folders, data_dir)
            await blobs.prepare()
            store.subscribe(_tell_ends)  # at a start, too, jobs end
            if follow is not None:
                store.subscribe(follow)
            await _recover(settings, lock, store, blobs)
            await asyncio.to_thread(lock.note_recovered)
        core = _build(settings, lock, store, blobs, render)
        try:
            with explaining_disk(data_dir):
                await _start(core)
            await asyncio.to_thread(end_giving_up, data_dir / DATABASE)
            yield core
        finally:
            await core.stop()
            blobs.close()


@asynccontextmanager
async def _open_store(path: Path, lock: DataFolderLock) -> AsyncIterator[Store]:
    store = await Store.open(path)
    try:
        yield store
    finally:
        await store.close()
        if store.has_broken_down:
            lock.note_failure()  # which files have a row, only the next start will see


@contextmanager
def explaining_disk(data_dir: Path) -> Iterator[None]:
    """Turn what a start meets on the disk into StartError, with what to do: that it is full, too
    many open files, and what is wrong with a file or a folder. StartError itself goes by.
    """
    try:
        with naming_full_disk():
            yield
    except StorageFull as exc:
        raise StartError(f"{exc.message} {_find_remedy(exc, data_dir)}") from exc
    except OSError as exc:
        raise StartError(
            f"{exc.filename or data_dir} cannot be used: {exc.strerror or exc}. See whether this "
            "user may read and write it, and what the system's log says of its disk."
        ) from exc


def _find_remedy(exc: StorageFull, data_dir: Path) -> str:
    """A full disk is not the only one that is called so."""
    cause = exc.__cause__
    if not isinstance(cause, OSError) or is_disk_full(cause):
        return f"Free some on the disk of {data_dir}, and start again."
    if cause.errno in TOO_MANY_FILES:
        return "Allow more: ulimit -n, or LimitNOFILE."
    return "Put that right, and start again."


def _build(
    settings: Settings,
    lock: DataFolderLock,
    store: Store,
    blobs: BlobStore,
    render: Callable[[RenderTask], Outcome],
) -> Core:
    workers, limits, storage = settings.workers, settings.limits, settings.storage
    pool = _build_pool(workers, storage.data_dir, render)
    dispatcher = Dispatcher(
        store,
        blobs,
        pool,
        limits=DecodeLimits(limits.max_pixels, limits.max_frames),
        memory_bytes=workers.memory_bytes,
        keep_inputs=storage.keep_inputs,
    )
    presets = Presets(store)
    readiness = Readiness(
        store,
        blobs,
        reserve_bytes=storage.reserve_bytes,
        max_pending_images=limits.max_pending_images,
    )
    watermarks = Watermarks(store, blobs, dispatcher.urgent, readiness)
    deleter = Deleter(store, blobs)
    submitter = Submitter(
        store,
        blobs,
        dispatcher,
        presets,
        watermarks,
        readiness,
        deleter,
        limits=limits,
        retain_s=settings.retention.finished_s,
    )
    return Core(
        settings=settings,
        lock=lock,
        store=store,
        blobs=blobs,
        hub=Hub(),
        paces=Paces(),
        pool=pool,
        dispatcher=dispatcher,
        fetches=_build_fetches(settings, store, blobs, dispatcher),
        readiness=readiness,
        submitter=submitter,
        deleter=deleter,
        presets=presets,
        watermarks=watermarks,
        workforce=Workforce(pool, dispatcher, _bounds(workers), workers.memory_bytes),
        failure=asyncio.get_running_loop().create_future(),
    )


def _build_pool(
    workers: WorkerSettings, data_dir: Path, render: Callable[[RenderTask], Outcome]
) -> WorkerPool:
    return WorkerPool(
        folder=data_dir.absolute() / SLOTS,
        size=workers.first_size,
        timeout_s=workers.timeout_s,
        memory_bytes=workers.memory_bytes,
        render=render,
        sandbox=workers.sandbox,
    )


def _build_fetches(
    settings: Settings, store: Store, blobs: BlobStore, dispatcher: Dispatcher
) -> Fetches:
    fetch, breakers = settings.fetch, Breakers()
    max_image_bytes = settings.limits.max_image_bytes
    return Fetches(
        store,
        blobs,
        Fetcher(fetch, breakers, max_image_bytes=max_image_bytes),
        breakers,
        per_host=fetch.per_host,
        concurrency=fetch.concurrency,
        reserve_bytes=settings.storage.reserve_bytes,
        on_fetched=dispatcher.job_has_work,
    )


def _bounds(workers: WorkerSettings) -> Bounds | None:
    if workers.min is None or workers.max is None:
        return None
    return Bounds(workers.min, workers.max)


async def _recover(
    settings: Settings, lock: DataFolderLock, store: Store, blobs: BlobStore
) -> None:
    """Put right what a crash left: interrupted images, unfinished submits, orphaned files."""
    held = await asyncio.to_thread(find_held, settings.storage.data_dir / SLOTS)
    recovered = await store.recover(now_ms(), died=lock.died, held=held)
    await store.cut_deadlines(now_ms(), _WAITS_AT_START)
    swept = await sweep_orphans(
        store,
        blobs,
        keep_inputs=settings.storage.keep_inputs,
        since_ns=lock.since_ns if lock.was_abandoned else None,
    )
    if recovered.images or recovered.guilty or recovered.hidden_jobs or swept:
        log.info(
            "recovered",
            images_returned=recovered.images,
            images_failed=recovered.guilty,
            submits_dropped=len(recovered.hidden_jobs),
            orphans_swept=swept,
        )


async def _start(core: Core) -> None:
    def follow(changes: Sequence[JobChange]) -> None:
        for change in changes:
            if change.deleted or change.job.state.is_final:
                core.dispatcher.job_is_gone(change.job.id)
        core.fetches.follow(changes)
        core.paces.follow(changes)
        core.hub.publish(changes)

    core.store.subscribe(follow)
    core.keep("database", core.store.watch())
    await core.pool.start()
    await core.dispatcher.load()
    core.keep("dispatcher", core.dispatcher.run())
    core.events = core.keep("engine-events", core.dispatcher.read_events())
    core.keep("fetches", core.fetches.run())
    core.keep("workforce", core.workforce.run())
    core.keep("recorder", core.dispatcher.recorder.run())
    idle_s = core.settings.limits.open_idle_s
    core.keep("idle-jobs", IdleJobs(core.store, idle_s=idle_s).run())
    core.keep("checkpoints", Checkpoints(core.store).run())
    core.keep("clock", ClockWatch(core.store, LONGEST_WAITS, core.fetches.clock_was_set).run())
    core.keep("expired-keys", ExpiredKeys(core.store).run())
    core.keep("unused-watermarks", UnusedWatermarks(core.watermarks.remove_unused).run())
    reserve_bytes = core.settings.storage.reserve_bytes
    core.keep("ballast", KeptBallast(core.blobs, reserve_bytes=reserve_bytes).run())
    core.keep("free-memory", FreeMemory().run())
    core.keep("dropped-jobs", DroppedJobs(core.deleter.drop_rest).run())
    core.keep("expiry", Expiry(core.store, core.deleter.delete_expired).run())


def _tell_ends(changes: Sequence[JobChange]) -> None:
    for job in (change.job for change in changes if not change.deleted):
        if job.state.is_final:  # it became so by this change
            log.info(
                "job_finished",
                job_id=job.id,
                status=job.state.value,
                completed=job.completed,
                failed=job.failed,
                cancelled=job.cancelled,
                errors=job.errors,
            )


def _check_sandbox(workers: WorkerSettings) -> None:
    if workers.sandbox == "required" and (gaps := find_gaps()):
        raise StartError(
            f"workers.sandbox is required, and this machine cannot do all of it. {' '.join(gaps)}"
        )
    if workers.sandbox != "off":
        protect_server()


def _check_folders(data_dir: Path) -> None:
    """Raises StartError."""
    check_layout(Layout(data_dir))  # first: what stands there instead is why no job has a folder
    check_inputs(data_dir / DATABASE)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as exc:
        raise StartError(f"The data folder {folder} cannot be made: {exc.strerror}.") from exc
