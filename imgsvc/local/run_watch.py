"""Watching folders without a server: what settles in them is made here."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import cast

from imgsvc.client import LocalFileError
from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.entries import Failure
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.listing import Listing
from imgsvc.client.watching.out_folder import OutFolder
from imgsvc.client.watching.outcome import Outcome
from imgsvc.client.watching.watch import LOOK_S, Progress, Reports
from imgsvc.domain.times import now_ms
from imgsvc.errors import StorageFull
from imgsvc.folders.scan import Fingerprint, FolderGone, Sighting
from imgsvc.folders.watcher import FolderWatcher, watch_folder
from imgsvc.local.watched import Watched
from imgsvc.service.local_plan import LocalInput, LocalPlan
from imgsvc.service.local_run import LocalRun, Made
from imgsvc.store.exports import Export

ROUNDS_AT_ONCE = 4
"""Batches of files that may be under way: one slow image does not hold up what comes later."""


class RunWatch:
    """journal: of failures, and of what results are called; what is done the run knows itself.

    exports: what stands in the out folder from earlier runs, by the key of the input.
    """

    def __init__(
        self,
        local: LocalRun,
        plan: LocalPlan,
        exports: Mapping[str, Export],
        watched: Sequence[Watched],
        journal: WatchJournal,
        out: OutFolder,
        disk: Disk,
        reports: Reports,
    ) -> None:
        self._local = local
        self._plan = plan
        self._exports = exports
        self._watched = watched
        self._journal = journal
        self._out = out
        self._disk = disk
        self._reports = reports
        self._listing = Listing(journal, disk, reports.failures, self._find_gone, self._look_anew)
        self._slots = asyncio.Semaphore(ROUNDS_AT_ONCE)
        self._known: dict[str, Fingerprint] = {}
        self._under_way: set[str] = set()
        self._watchers: dict[str, FolderWatcher] = {}
        self._done = 0

    @property
    def progress(self) -> Progress:
        return Progress(
            done=self._done,
            failed=len(self._journal.failed),
            waiting=len(self._under_way) + sum(each.restless for each in self._watchers.values()),
            is_gone=any(each.is_gone for each in self._watchers.values()),
        )

    async def run(self) -> None:
        """For ever. Raises LocalFileError, ImageError for a watermark that cannot be read."""
        await self._local.begin()
        await asyncio.to_thread(self._take_up)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listing.run(), name="watch-failures")
                tasks.create_task(self._listing.tidy(), name="watch-tidy")
                tasks.create_task(self._keep_out(), name="watch-out")
                for watched in self._watched:
                    tasks.create_task(self._watch(watched, tasks), name="watch-folder")
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            await self._listing.finish()

    async def _keep_out(self) -> None:
        """Raises LocalFileError when the out folder is gone, and with it all that is known."""
        while True:
            await asyncio.to_thread(self._out.check)
            await asyncio.sleep(LOOK_S)

    def _take_up(self) -> None:
        """What earlier processes have left, and what there is now. Blocking."""
        for batch in list(self._journal.batches.values()):
            self._journal.drop(batch.id, self._journal.find_left(batch))
            self._journal.end_batch(batch.id)
        present: dict[str, LocalInput] = {}
        for watched in self._watched:
            with suppress(FolderGone):
                found = watched.folder.scan()
                present |= {watched.name(one): watched.describe(one) for one in found}
        self._forget(present)
        self._keep_names(present)
        self._out.choose_at_start(present)
        self._listing.note_change()

    def _forget(self, present: Mapping[str, LocalInput]) -> None:
        entries = {n: e for n, e in list(self._journal.entries.items()) if n not in present}
        gone = self._find_gone(entries)
        self._journal.forget([n for n in gone if not self._out.stands(entries[n].files)])

    def _keep_names(self, present: Mapping[str, LocalInput]) -> None:
        """Results keep their names, also those of inputs that are gone."""
        entries = list(self._journal.entries.items())
        choices = {n: e.choice for n, e in entries if e.choice is not None}
        names = {self._plan.key(item): name for name, item in present.items()}
        for key, export in self._exports.items():
            files = [(file.variant, file.format, file.target) for file in export.files]
            name = names.get(key, key)
            if name not in choices and self._out.stands(files):
                choice = self._out.recall(files)
                choices |= {name: choice} if choice else {}
        self._out.keep(choices)

    def _is_known(self, watched: Watched, sighting: Sighting) -> bool:
        name = watched.name(sighting)
        if self._known.get(name) == sighting.fingerprint:
            return True
        if name in self._journal.failed:
            return self._journal.is_known(sighting._replace(name=name), self._plan.identity)
        item = watched.describe(sighting)
        export = None if name in self._known else self._exports.get(self._plan.key(item))
        if not self._plan.stands(item, export):
            return False
        self._known[name] = sighting.fingerprint
        return True

    def _find_gone(self, names: Collection[str]) -> set[str]:
        """Those of folders that are watched now. Blocking."""
        gone: set[str] = set()
        for watched in self._watched:
            above = watched.above
            below = [name.removeprefix(above) for name in names if name.startswith(above)]
            gone.update(above + name for name in watched.folder.find_gone(below))
        return gone

    def _look_anew(self, name: str) -> None:
        for above, watcher in self._watchers.items():
            if name.startswith(above):
                watcher.give_back(name.removeprefix(above))

    async def _watch(self, watched: Watched, tasks: asyncio.TaskGroup) -> None:
        watcher = watch_folder(
            watched.folder, partial(self._is_known, watched), polling=watched.polling
        )
        self._watchers[watched.above] = watcher
        given = cast("AsyncGenerator[list[Sighting], None]", watcher.batches())
        async with aclosing(given) as batches:
            async for sightings in batches:
                new = []
                for sighting in sightings:
                    if watched.name(sighting) in self._under_way:  # an older content is
                        watcher.give_back(sighting.name)
                    else:
                        new.append(sighting)
                if new:
                    self._under_way.update(map(watched.name, new))
                    await self._slots.acquire()
                    tasks.create_task(self._carry_out(watched, watcher, new))

    async def _carry_out(
        self, watched: Watched, watcher: FolderWatcher, sightings: Sequence[Sighting]
    ) -> None:
        """Make one batch; a slot is held."""
        batch_id = uuid.uuid4().hex
        try:
            await self._make(batch_id, watched, sightings)
            self._disk.note_success()
        except (StorageFull, OSError) as exc:
            await asyncio.to_thread(self._out.check)  # with it all that is known is gone
            reason = exc.strerror if isinstance(exc, OSError) else exc.message.removesuffix(".")
            await self._disk.pause(LocalFileError(self._out.root, reason or "it cannot be written"))
        finally:
            self._under_way.difference_update(map(watched.name, sightings))
            self._slots.release()
        if batch := self._journal.batches.get(batch_id):
            left = self._journal.find_left(batch)
            await self._disk.insist(partial(self._journal.drop, batch_id, left))
            await self._disk.insist(partial(self._journal.end_batch, batch_id))
        for sighting in sightings:
            name = watched.name(sighting)
            if self._known.get(name) != sighting.fingerprint and name not in self._journal.failed:
                watcher.give_back(sighting.name)

    async def _make(self, batch_id: str, watched: Watched, sightings: Sequence[Sighting]) -> None:
        """Raises StorageFull, OSError."""
        names = [watched.name(one) for one in sightings]
        renamed = [one._replace(name=name) for one, name in zip(sightings, names, strict=True)]
        choices = self._out.choose(names)
        note = partial(
            self._journal.note_batch, batch_id, self._plan.identity, {}, renamed, choices
        )
        await self._disk.insist(note)
        self._listing.note_change()
        items = [watched.describe(one) for one in sightings]
        places = dict(zip(items, range(len(items)), strict=True))

        def place(index: int, variant: str, format_: str) -> str:
            return self._out.path(names[index], variant, format_)

        def is_same(item: LocalInput) -> bool:
            return watched.is_same(sightings[places[item]])

        async with aclosing(self._local.make(list(enumerate(items)), place, is_same)) as rounds:
            async for made in rounds:
                for one in made:
                    await self._note(batch_id, renamed[places[one.item]], one)

    async def _note(self, batch_id: str, sighting: Sighting, made: Made) -> None:
        if made.has_changed:
            return
        name, failure = sighting.name, None
        if made.error is not None:
            failure = Failure(made.error.code, made.error.message, now_ms())
            await self._disk.insist(partial(self._journal.note_failed, batch_id, name, failure))
            self._listing.note_change()
        else:
            files = [(file.variant, file.format, file.target) for file in made.files]
            self._known[name] = sighting.fingerprint
            self._done += 1
            await self._disk.insist(partial(self._journal.note_done, batch_id, name, files))
        outputs = tuple(
            {
                "variant": file.variant,
                "format": file.format,
                "size_bytes": file.size_bytes,
                "path": str(self._out.root / file.target),
            }
            for file in made.files
        )
        self._reports.outcome(Outcome(name, failure, outputs))
