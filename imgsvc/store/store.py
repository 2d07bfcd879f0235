"""The store: what the rest of the program sees of the database."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import aiosqlite

from imgsvc.domain.image import Image, NewImage
from imgsvc.domain.job import Job, NewJob
from imgsvc.domain.preset import Preset
from imgsvc.domain.product_list import ProductRow
from imgsvc.domain.rendering import TaskKey
from imgsvc.domain.watched import FileEnd, TakenFile, WatchedFile
from imgsvc.domain.watermark import KeptWatermark
from imgsvc.domain.webhook import Attempt, Delivery, Webhook
from imgsvc.store import (
    deadlines,
    deliveries,
    fetches,
    folder_files,
    images,
    jobs,
    keys,
    presets,
    recovery,
    reversals,
    watermarks,
)
from imgsvc.store.breakdown import Breakdown
from imgsvc.store.commit_count import SELECT, Commits
from imgsvc.store.connections import open_writer
from imgsvc.store.copying import copy_database, postpone_deadlines
from imgsvc.store.database_files import DatabaseFiles
from imgsvc.store.deadlines import LongestWaits
from imgsvc.store.examination import Damage, check_copy, examine
from imgsvc.store.exports import Export, forget_exports, record_exports
from imgsvc.store.fetches import FetchedInput, FetchFailure, FetchPick, FetchRelease
from imgsvc.store.folder_lookups import FolderLookups
from imgsvc.store.holders import find_holders
from imgsvc.store.images import ImageResult, Release
from imgsvc.store.keys import NewKey
from imgsvc.store.ledger import PendingTally
from imgsvc.store.lookups import Lookups
from imgsvc.store.readers import Readers
from imgsvc.store.recovery import Recovered
from imgsvc.store.sql import JOBS
from imgsvc.store.writer import Subscriber, Transaction, Writer

READERS = 3

LOOK_EVERY_S = 1.0
"""How often it is looked whether the files are in their place while nothing is written."""


class Store(Lookups):
    """Every write returns once it is committed and on stable storage.

    Writes raise StorageFull when there is no space for them, Internal when the database
    refuses them, and ShuttingDown once the store is closed. They find hidden jobs too. While
    another program has the database locked they wait. Once it is found to be damaged, reads
    and writes alike raise ShuttingDown. Times are milliseconds since 1970.

    pending: the images that are not final, counted. effort: what was written since the start.
    """

    def __init__(
        self,
        path: Path,
        connection: aiosqlite.Connection,
        readers: Readers,
        tally: PendingTally,
        breakdown: Breakdown,
        files: DatabaseFiles,
        thread: Executor,
    ) -> None:
        super().__init__(readers)
        self.folders = FolderLookups(readers)
        self._path = path
        self._connection = connection
        self.pending = tally
        self._breakdown = breakdown
        self._files = files
        self._thread = thread
        self._writer = Writer(connection, breakdown=breakdown, files=files, thread=thread)
        self._writer.subscribe(tally.update)
        self.effort = self._writer.effort
        self._task = asyncio.create_task(self._writer.run(), name="store writer")

    @classmethod
    async def open(cls, path: Path) -> Store:
        """Open or create the database; the data folder's lock must be held.

        Raises StartError when it is damaged, another program's or a newer version's, or cannot
        be read and written; then it is as it was.
        """
        await asyncio.to_thread(examine, path)
        connection = await open_writer(path)
        thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        breakdown = Breakdown(path.parent, thread)
        readers = Readers(breakdown)
        try:
            await readers.open(path, READERS)
            tally = PendingTally(await Lookups(readers).unfinished_jobs())
            ((token, number),) = await connection.execute_fetchall(SELECT)
            files = await asyncio.to_thread(DatabaseFiles, path, Commits(token, number))
        except BaseException:
            await readers.close()
            await connection.close()
            raise
        return cls(path, connection, readers, tally, breakdown, files, thread)

    async def close(self) -> None:
        """Finish what is queued, then close, the writer last, which makes the final checkpoint.
        After a breakdown nobody does, unless only a file's place has changed: the log stays.
        """
        self._writer.close()
        await self._task
        await asyncio.to_thread(self._files.spare_others)
        if self._breakdown.has_come and not await asyncio.to_thread(self._files.find_fault):
            await self._connection.close()
        await self._readers.close()
        await self._connection.close()
        await asyncio.to_thread(self._files.close)
        self._thread.shutdown(wait=False)

    async def watch(self) -> NoReturn:
        """Raises DatabaseBroken when the database has broken down, or its files are not where they
        were, and what the writer died of.
        """
        waiting = asyncio.create_task(self._breakdown.wait(), name="store breakdown")
        try:
            ends = {waiting, self._task}
            done: set[asyncio.Future[Any]] = set()
            while not done:
                await self._writer.look()
                done, _ = await asyncio.wait(
                    ends, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED
                )
            if self._task.done():
                await self._task
            await waiting
        finally:
            waiting.cancel()
        raise RuntimeError("the store was closed while it was watched")

    async def look(self) -> None:
        """Before something is stored because files are missing: where the database's own are not
        where they were either, it has broken down, and nothing is.
        """
        await self._writer.look()

    @property
    def has_broken_down(self) -> bool:
        """Whether the database was found to be damaged: nothing can be stored any more."""
        return self._breakdown.has_come

    def explain_end(self, exc: BaseException) -> BaseException:
        """Why a task has died: see `Breakdown`."""
        return self._breakdown.explain_end(exc)

    @property
    def pending_images(self) -> int:
        """How many images of all jobs are not final; no query."""
        return self.pending.total

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call `callback` with the changes of every commit, in commit order and before the
        writes return; it must not block. Returns a function that ends this.

        Hidden jobs are among the changes.
        """
        return self._writer.subscribe(callback)

    async def create_job(
        self,
        job: NewJob,
        new_images: Sequence[NewImage],
        now_ms: int,
        *,
        rows: Sequence[ProductRow] = (),
    ) -> Job:
        """An image with a failure is stored as failed, the others as pending.

        rows: of the job's product list, as far as they have come.
        Raises InvalidRecipe when a watermark that the recipe needs is gone.
        """
        return await self._writer.apply(jobs.create_job, job, new_images, now_ms, rows)

    async def append_images(
        self,
        job_id: str,
        new_images: Sequence[NewImage],
        now_ms: int,
        *,
        max_images: int | None = None,
        key: NewKey | None = None,
        rows: Sequence[ProductRow] = (),
    ) -> tuple[Job, list[tuple[int, str]]]:
        """Returns the job, and index and name of each new image.

        max_images: how many the job may have in all. key: the request's idempotency key.
        rows: as in `create_job`. Raises NotFound, JobClosed, TooManyImages.
        """
        return await self._writer.apply(
            jobs.append_images, job_id, new_images, now_ms, max_images, key, rows
        )

    async def close_job(
        self,
        job_id: str,
        now_ms: int,
        key: NewKey | None = None,
        taken: Sequence[TakenFile] = (),
    ) -> Job:
        """Also shows a hidden job. Idempotent. taken: the files of a watched folder that its
        images were. Raises NotFound.
        """
        return await self._writer.apply(jobs.close_job, job_id, now_ms, key, taken)

    async def show_job(self, job_id: str, key: NewKey | None = None) -> Job:
        """Shows a hidden job and leaves it open. Idempotent. Raises NotFound."""
        return await self._writer.apply(jobs.show_job, job_id, key)

    async def record_answer(self, key: str, answer: dict[str, Any]) -> None:
        """Keep what the first request with an idempotency key is answered."""
        await self._writer.apply(keys.record_answer, key, answer)

    async def forget_keys(self, now_ms: int, limit: int) -> int:
        """Remove up to `limit` idempotency keys expired at `now_ms`; returns how many."""
        return await self._writer.apply(keys.forget_keys, now_ms, limit)

    async def close_idle_job(self, job_id: str, idle_since_ms: int, now_ms: int) -> Job | None:
        """Close an open job unless something was appended since; None if it was not closed."""
        return await self._writer.apply(jobs.close_idle_job, job_id, idle_since_ms, now_ms)

    async def delete_job(self, job_id: str, *, expired_at_ms: int | None = None) -> bool:
        """False when there was none, or it is not expired at that time (None: always)."""
        return await self._writer.apply(jobs.delete_job, job_id, expired_at_ms)

    async def hide_job(self, job_id: str, expired_at_ms: int | None = None) -> bool:
        """Before a job loses its files; False where `delete_job` would say so."""
        return await self._writer.apply(jobs.hide_job, job_id, expired_at_ms)

    async def claim_images(self, picks: Sequence[tuple[str, int]], now_ms: int) -> list[Image]:
        """Begins a try of up to `count` images of each (job id, count), in index order."""
        return await self._writer.apply(images.claim_images, picks, now_ms)

    async def begin_alone(self, key: TaskKey) -> bool:
        """From now on the server's death is this image's fault; False where the race was lost."""
        return await self._writer.apply(images.begin_alone, key)

    async def finish_images(self, results: Sequence[ImageResult], now_ms: int) -> list[bool]:
        """False where the race was lost: cancelled, deleted, or dispatched again."""
        return await self._writer.apply(images.finish_images, results, now_ms)

    async def release_images(self, releases: Sequence[Release], now_ms: int) -> list[bool]:
        """Back to pending; False where the race was lost."""
        return await self._writer.apply(images.release_images, releases, now_ms)

    async def begin_fetches(self, picks: Sequence[FetchPick], now_ms: int) -> list[Image]:
        """Begins a try of up to `count` images of each pick."""
        return await self._writer.apply(fetches.begin_fetches, picks, now_ms)

    async def finish_fetch(self, fetched: FetchedInput, now_ms: int) -> Job | None:
        """The bytes are on stable storage: the job, which has work for the dispatcher.

        None where the race was lost: cancelled, or deleted.
        """
        return await self._writer.apply_each(fetches.finish_fetches, (fetched, now_ms))

    async def fail_fetch(self, failed: FetchFailure, now_ms: int) -> bool:
        """For good. False where the race was lost."""
        return await self._writer.apply(fetches.fail_fetch, failed, now_ms)

    async def release_fetch(self, release: FetchRelease, now_ms: int) -> bool:
        """Back to pending, to be fetched later. False where the race was lost."""
        return await self._writer.apply(fetches.release_fetch, release, now_ms)

    async def ripen_fetches(self, now_ms: int, limit: int) -> int:
        """Let up to `limit` images be fetched that were to wait until now; returns how many."""
        return await self._writer.apply(fetches.ripen_fetches, now_ms, limit)

    async def recall_fetches(self, host: str, fetch_at: int, limit: int) -> int:
        """The same for those of a host that were to wait until just then, which is to come."""
        return await self._writer.apply(fetches.recall_fetches, host, fetch_at, limit)

    async def cancel_job(self, job_id: str, now_ms: int) -> Job:
        """Idempotent; closes an open job. Raises NotFound."""
        return await self._writer.apply(reversals.cancel_job, job_id, now_ms)

    async def retry_images(
        self,
        job_id: str,
        *,
        codes: Collection[str] | None = None,
        indexes: Collection[int] | None = None,
    ) -> Job:
        """Failed and cancelled images back to pending. Raises NotFound, for hidden jobs too.

        codes: only those failed with one of these; indexes: only these; neither: all.
        """
        return await self._writer.apply(reversals.retry_images, job_id, codes, indexes)

    async def recover(
        self, now_ms: int, *, died: bool = False, held: Sequence[str] = ()
    ) -> Recovered:
        """To be called at the start, before anything is claimed. died, held: as in `recovery`."""
        return await self._writer.apply(recovery.recover, now_ms, died, held)

    async def cut_deadlines(self, now_ms: int, longest: LongestWaits) -> None:
        """At the start: nothing waits for longer than it could if the clock had never been set."""
        await self._writer.apply(deadlines.cut_deadlines, now_ms, longest)

    async def move_deadlines(self, by_ms: int, now_ms: int, longest: LongestWaits) -> None:
        """The clock was set by so much, and is `now_ms` now: what waits goes on waiting."""
        await self._writer.apply(deadlines.move_deadlines, by_ms, now_ms, longest)

    async def save_preset(self, preset: Preset, *, most: int) -> bool:
        """Keep an own preset, in the place of the one of that name; whether there was none.

        most: how many there may be. Raises InvalidRequest for one too many.
        """
        return await self._writer.apply(presets.save_preset, preset, most)

    async def delete_preset(self, name: str) -> bool:
        """False when there was no own preset of that name."""
        return await self._writer.apply(presets.delete_preset, name)

    async def save_watermark(self, watermark: KeptWatermark, *, most: int) -> bool:
        """Let a name mean a file; whether the name is new.

        most: how many names there may be. Raises InvalidRequest for one too many.
        """
        return await self._writer.apply(watermarks.save_watermark, watermark, most)

    async def delete_watermark(self, name: str) -> bool:
        """False when there was none of that name."""
        return await self._writer.apply(watermarks.delete_watermark, name)

    async def forget_watermark_files(self, kept: Collection[str] = ()) -> list[str]:
        """Contents (sha256) that no name and no job needs; their files are to be removed.

        kept: those that a request may be about to need.
        """
        return await self._writer.apply(watermarks.forget_watermark_files, kept)

    async def announce_images(
        self, job_id: str, last: tuple[int, int], payload: str | None, now_ms: int
    ) -> None:
        """Put images up to `last`, as `unannounced_images` gave it, into a message.

        payload: what it is made of, as JSON; None makes no message of them.
        """
        await self._writer.apply(deliveries.announce_images, job_id, last, payload, now_ms)

    async def record_attempt(self, delivery: Delivery, attempt: Attempt, now_ms: int) -> bool:
        """False when the message is gone, was tried again since it was as in `delivery`, when the
        try began, or is for another receiver now.
        """
        return await self._writer.apply(deliveries.record_attempt, delivery, attempt, now_ms)

    async def redeliver(self, job_id: str, delivery_id: str, now_ms: int) -> Delivery:
        """Let a message be sent anew, whatever became of it. Raises NotFound."""
        return await self._writer.apply(deliveries.redeliver, job_id, delivery_id, now_ms)

    async def replace_webhook(self, job_id: str, webhook: Webhook, now_ms: int) -> None:
        """Let a job tell this receiver and no other; of its end at once, if it is final.

        Raises NotFound.
        """
        await self._writer.apply(deliveries.replace_webhook, job_id, webhook, now_ms)

    async def touch_files(self, touched: Sequence[TakenFile]) -> None:
        """Files of watched folders that look otherwise and have the bytes they had."""
        await self._writer.apply(folder_files.touch_files, touched)

    async def end_files(self, ends: Sequence[FileEnd], now_ms: int) -> list[bool]:
        """Files of watched folders; False where a newer content was taken meanwhile."""
        return await self._writer.apply(folder_files.end_files, ends, now_ms)

    async def forget_failed_files(self, folder: str, names: Collection[str]) -> None:
        """Files of a watched folder that failed and are gone."""
        await self._writer.apply(folder_files.forget_failed_files, folder, names)

    async def forget_done_files(self, files: Sequence[WatchedFile]) -> list[str]:
        """Files of watched folders that are gone; the names of those that did not come back."""
        return await self._writer.apply(folder_files.forget_done_files, files)

    async def forget_unwatched_files(self, watched: Collection[str]) -> dict[str, int]:
        """How many, by folder, nobody waits for any more: their jobs may expire."""
        return await self._writer.apply(folder_files.forget_unwatched_files, watched)

    async def save_out_token(self, path: str, token: str) -> None:
        """What is to stand in an output folder of a watched one, by which it is known again."""
        await self._writer.apply(folder_files.save_out_token, path, token)

    async def record_exports(self, exports: Sequence[Export]) -> None:
        """Remember what a run without a server has put into its folder."""
        await self._writer.apply(record_exports, exports)

    async def forget_exports(self, names: Collection[str]) -> None:
        """Of inputs whose results are about to be overwritten by another's."""
        await self._writer.apply(forget_exports, names)

    async def copy_to(self, target: Path) -> None:
        """A copy of the whole database for a backup, as of one moment, and checked; what it keeps
        begins its time when a server starts on it. Raises StorageFull, Internal; ShuttingDown
        when it is found to be damaged.
        """
        self._breakdown.check()
        try:
            await asyncio.to_thread(copy_database, self._path, target)
            await asyncio.to_thread(postpone_deadlines, target)
            await asyncio.to_thread(check_copy, target)
        except sqlite3.Error as exc:
            raise await self._breakdown.translate(exc) from exc
        except Damage as exc:
            self._breakdown.note(str(exc))
            self._breakdown.check()

    async def wal_bytes(self) -> int:
        """How large the log of what is not in the database itself yet is; 0 without one."""
        return await asyncio.to_thread(self._files.log_bytes)

    async def shrink_wal(self) -> bool:
        """Cut the log to nothing, for which reads pause a moment; False when somebody else, or a
        backup, needs it still. Raises as a write does.
        """
        async with self._readers.paused():
            return await self._writer.checkpoint()

    async def holders(self) -> list[str]:
        """Other processes that have the database open, as `name (pid 123)`."""
        return await asyncio.to_thread(find_holders, self._path)

    async def ping_writable(self) -> None:
        """Commit the smallest write. Raises what a write raises."""
        await self._writer.apply(_probe_write)


async def _probe_write(tx: Transaction) -> None:
    await tx.fetch(JOBS["probe_write"], {})
