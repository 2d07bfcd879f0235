"""What becomes of a watched folder's files: results to where they belong, failures to a list.

What is to be done stands in the database: a file is `taken` until its results are in place. So
nothing is lost by a kill, and nothing is done for a content that is not the newest.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.domain.image import Image
from imgsvc.domain.job import JobChange
from imgsvc.domain.stable_names import StableNames
from imgsvc.domain.states import ImageState
from imgsvc.domain.times import now_ms
from imgsvc.domain.watched import CANCELLED, FileEnd, FileState, WatchedFile
from imgsvc.errors import NotFound, StorageFull
from imgsvc.files.places import Placement
from imgsvc.folders.failure_list import LIST_IS_TAKEN, ListedFailure, write_failures
from imgsvc.folders.placing import DeliveryFolder, OutGone
from imgsvc.folders.scan import Folder, printable
from imgsvc.recipes.model import load_recipe
from imgsvc.store.folder_lookups import ImageKey
from imgsvc.store.full_disk import FullDisk
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

BATCH = 100
RETRY_S = 5.0
"""Until what could not be put into its place is tried again."""

LIST_S = 30.0
"""After this long it is seen that a file that failed was taken away."""

LIST_REST_S = 1.0
LIST_SHARE = 0.05
"""How much of the time may go into writing the list of failures, which may be long."""

NEVER_S = float("inf")

_CANCELLED = (CANCELLED, "The job was cancelled.")
_DELETED = (CANCELLED, "The job was deleted.")
_NAMELESS = ("internal", "The server's records of its results do not fit its recipe.")


class Delivery:
    """out: None leaves the results on the server. on_forgotten: called with the names of files
    that failed and are gone. clock: seconds that only rise.
    """

    def __init__(
        self,
        store: Store,
        blobs: BlobStore,
        folder: Folder,
        out: Path | None,
        *,
        on_forgotten: Callable[[Iterable[str]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._folder = folder
        self._key = str(folder.root)
        self._out = None if out is None else DeliveryFolder(out)
        self._on_forgotten = on_forgotten
        self._now_s = clock
        self._todo: dict[ImageKey, None] = {}
        self._later: dict[ImageKey, float] = {}
        self._gone_jobs: set[str] = set()
        self._noted: set[ImageKey] = set()
        self._names: dict[str, StableNames] = {}
        self._waits_until_s = 0.0
        self._disk = FullDisk("folders")
        self._waits_for: str | None = None
        self._is_list_written = True
        self._list_due_s = 0.0
        self._list_rests_until_s = 0.0
        self._news = asyncio.Event()

    async def load(self) -> None:
        """What an earlier run has left to do."""
        keys = await self._store.folders.taken_files(self._key)
        while keys:
            self._todo |= dict.fromkeys(keys)
            keys = await self._store.folders.taken_files(self._key, keys[-1])
        if self._out is not None:
            self._out.token = await self._store.folders.out_token(str(self._out.root))

    def follow(self, changes: Sequence[JobChange]) -> None:
        """Called with the changes of a commit."""
        for change in changes:
            if change.job.source != "watch" or change.job.hidden:
                continue
            if change.deleted:
                self._gone_jobs.add(change.job.id)
                self._news.set()
            ended = [one.image.index for one in change.images if one.image.state.is_final]
            self._note(change.job.id, ended)

    def check(self, job_id: str, count: int) -> None:
        """A job of this folder is visible: some of its images may have ended before that."""
        self._note(job_id, range(count))

    async def run(self) -> None:
        while True:
            self._news.clear()
            await self.run_once()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rest_s()):
                    await self._news.wait()

    async def run_once(self) -> None:
        """Deliver what can be delivered now, and bring the list of failures up to date."""
        if self._now_s() < self._waits_until_s:
            return
        try:
            with self._disk:
                if self._out is not None:
                    await self._claim(self._out)
                await self._deliver_all()
                if self._list_due_s <= self._now_s():
                    await self._list_failures()
            if self._disk.is_full:
                self._waits_until_s = self._now_s() + RETRY_S
                return
        except OutGone as exc:
            if self._waits_for != str(exc) and self._out is not None:
                log.warning("out_folder_waits", out=str(self._out.root), reason=str(exc))
            self._waits_for = str(exc)
            self._waits_until_s = self._now_s() + RETRY_S
        else:
            if self._waits_for is not None and self._out is not None:
                log.info("out_folder_is_back", out=str(self._out.root))
            self._waits_for = None

    async def _claim(self, out: DeliveryFolder) -> None:
        """See that it is this server's. Raises OutGone and StorageFull."""
        if out.token is None and not await self._lacks_results(out):
            await asyncio.to_thread(out.make)
        if not await asyncio.to_thread(out.find_token):
            # Known before it stands there: a token that nobody knows would be another server's.
            out.token = secrets.token_hex(16)
            await self._store.save_out_token(str(out.root), out.token)
            await asyncio.to_thread(out.mark, out.token)
            log.info("out_folder_taken", out=str(out.root))
        await asyncio.to_thread(out.check)

    async def _lacks_results(self, out: DeliveryFolder) -> bool:
        """Whether none of some results that were delivered before stands in a folder."""
        async for files in self._store.folders.iter_files(self._key):
            if targets := [target for file in files for target in file.files]:
                return await asyncio.to_thread(out.lacks, targets)
        return False

    def _note(self, job_id: str, indexes: Iterable[int]) -> None:
        keys = [(job_id, index) for index in indexes]
        if keys:
            self._todo |= dict.fromkeys(keys)
            self._news.set()

    def _rest_s(self) -> float | None:
        """None for until there is news."""
        now_s = self._now_s()
        if now_s < self._waits_until_s:
            return self._waits_until_s - now_s
        due_s = min([self._list_due_s, *self._later.values()])
        return None if due_s == NEVER_S else max(0.0, due_s - now_s)

    async def _deliver_all(self) -> None:
        now_s = self._now_s()
        for key in [key for key, due_s in self._later.items() if due_s <= now_s]:
            del self._later[key]
            self._todo[key] = None
        while self._gone_jobs:
            job_id = self._gone_jobs.pop()
            keys = await self._store.folders.taken_files_of_job(self._key, job_id)
            self._todo |= dict.fromkeys(keys)
        while self._todo:
            await self._deliver(list(islice(self._todo, BATCH)))

    async def _deliver(self, keys: Collection[ImageKey]) -> None:
        """Raises OutGone and StorageFull; then all of it is still to be done."""
        # Taken out first: what changes from now on is to be looked at once more.
        for key in keys:
            del self._todo[key]
        try:
            files = await self._store.folders.files_by_image(self._key, keys)
            images = await self._store.folders.images_by_key(files)
            found = await asyncio.gather(
                *(self._end(file, images.get(key)) for key, file in files.items()),
                return_exceptions=True,
            )
            ends = [end for end in found if isinstance(end, FileEnd)]
            ended = await self._store.end_files(ends, now_ms()) if ends else []
            self._report([end for end, is_ended in zip(ends, ended, strict=True) if is_ended])
            for error in found:
                if isinstance(error, BaseException):
                    raise error
        except (OutGone, StorageFull):
            self._todo |= dict.fromkeys(keys)
            raise

    async def _end(self, file: WatchedFile, image: Image | None) -> FileEnd | None:
        """None while it goes on, when it is known, and when its results cannot be put into
        their place now.
        """
        if file.state is FileState.DONE:
            return None
        if image is None:
            return None if file.state is FileState.FAILED else _fail(file, _DELETED)
        if image.state is ImageState.COMPLETED:
            return await self._complete(file, image)
        error = _CANCELLED if image.state is ImageState.CANCELLED else None
        if image.error is not None:
            error = image.error.code.value, image.error.message
        return None if error is None or error == file.error else _fail(file, error)

    async def _complete(self, file: WatchedFile, image: Image) -> FileEnd | None:
        if self._out is None:
            return FileEnd(file, FileState.DONE)
        try:
            placements = await self._plan(file, image)
            await asyncio.to_thread(_place, self._out, placements, file.files)
        except KeyError:  # a variant or a format that the recipe does not have
            return None if file.error == _NAMELESS else _fail(file, _NAMELESS)
        except NotFound:
            # Its job was deleted at this moment: the next look finds it gone.
            self._later[image.job_id, image.index] = self._now_s() + RETRY_S
            return None
        except OSError as exc:
            self._put_off(file, exc)
            return None
        self._noted.discard((file.job_id, file.index))
        return FileEnd(file, FileState.DONE, tuple(one.target for one in placements))

    async def _plan(self, file: WatchedFile, image: Image) -> list[Placement]:
        names = await self._names_of(image.job_id)
        return [
            Placement(
                self._blobs.output_path(
                    image.job_id, image.id, image.claim, output.variant, output.format
                ),
                names.path(file.choice, output.variant, output.format),
            )
            for output in image.outputs
        ]

    async def _names_of(self, job_id: str) -> StableNames:
        """Raises NotFound."""
        recipe = (await self._store.job(job_id)).recipe
        if recipe not in self._names:
            variants = [(variant.name, variant.format) for variant in load_recipe(recipe).variants]
            self._names = {recipe: StableNames(variants)}
        return self._names[recipe]

    def _put_off(self, file: WatchedFile, exc: OSError) -> None:
        """Something stands in the way of one result; the others go on."""
        key = file.job_id, file.index
        if key not in self._noted:
            self._noted.add(key)
            log.warning(
                "result_waits",
                folder=self._key,
                name=printable(file.name),
                reason=exc.strerror,
            )
        self._later[key] = self._now_s() + RETRY_S

    def _report(self, ends: Sequence[FileEnd]) -> None:
        for end in ends:
            # A file that had failed may be the one that is done now.
            if end.state is FileState.FAILED or self._list_due_s != NEVER_S:
                self._list_due_s = max(self._now_s(), self._list_rests_until_s)
            if end.error is not None:
                code, message = end.error
                name = printable(end.file.name)
                log.warning("file_failed", folder=self._key, name=name, code=code, message=message)

    async def _list_failures(self) -> None:
        """Raises OutGone."""
        begun_s = self._now_s()
        failed = await self._store.folders.failed_files(self._key)
        gone = await asyncio.to_thread(self._folder.find_gone, [file.name for file in failed])
        if gone:
            await self._store.forget_failed_files(self._key, gone)
            self._on_forgotten(gone)
        listed = [
            ListedFailure(file.name, *file.error, file.ended_at or 0)
            for file in failed
            if file.error is not None and file.name not in gone
        ]
        if self._out is not None:
            self._note_list(await asyncio.to_thread(_write_list, self._out, listed))
        ended_s = self._now_s()
        self._list_rests_until_s = ended_s + max(LIST_REST_S, (ended_s - begun_s) / LIST_SHARE)
        self._list_due_s = max(ended_s + LIST_S, self._list_rests_until_s) if listed else NEVER_S

    async def forget_gone(self) -> list[str]:
        """Forget files of which neither they nor their results are there; their names."""
        names: list[str] = []
        async for files in self._store.folders.iter_files(self._key):
            done = [file for file in files if file.state is FileState.DONE]
            with suppress(OutGone):
                gone = await asyncio.to_thread(_find_used_up, self._folder, self._out, done)
                names += await self._store.forget_done_files(gone) if gone else []
        return names

    async def sweep(self) -> bool:
        """Remove what those who were killed have left in the output folder; False while it is not
        there.
        """
        if self._out is not None:
            try:
                await asyncio.to_thread(self._out.sweep)
            except OutGone:
                return False
        return True

    def _note_list(self, is_written: bool) -> None:
        if not is_written and self._is_list_written:
            log.warning("failures_not_listed", folder=self._key, reason=LIST_IS_TAKEN)
        self._is_list_written = is_written


def _fail(file: WatchedFile, error: tuple[str, str]) -> FileEnd:
    return FileEnd(file, FileState.FAILED, error=error)


def _place(out: DeliveryFolder, placements: Sequence[Placement], stale: Iterable[str]) -> None:
    out.check()
    out.place(placements, stale)
    out.check()  # once more: a share may have gone away in between


def _write_list(out: DeliveryFolder, failures: Sequence[ListedFailure]) -> bool:
    out.check()
    try:
        return write_failures(out.root, failures)
    except OSError as exc:
        raise OutGone(exc.strerror or str(exc)) from exc


def _find_used_up(
    folder: Folder, out: DeliveryFolder | None, files: Sequence[WatchedFile]
) -> list[WatchedFile]:
    """Blocking. Raises OutGone."""
    gone = folder.find_gone(file.name for file in files)
    found = [file for file in files if file.name in gone and (out is None or out.lacks(file.files))]
    if out is not None:
        out.check()  # afterwards: where it went away meanwhile, nothing was lost
    return found
