"""Watching a folder for a server: what settles in it is sent, what is finished comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import cast

from imgsvc.client.client import Client
from imgsvc.client.patience import Patience
from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.entries import Batch, Entry, Failure, State
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.listing import Listing
from imgsvc.client.watching.out_folder import OutFolder
from imgsvc.client.watching.outcome import Outcome
from imgsvc.client.watching.results import Results
from imgsvc.client.watching.shipping import Shipping, Spec, split_by_name
from imgsvc.folders.scan import Folder, FolderGone, Sighting
from imgsvc.folders.steady import hash_file
from imgsvc.folders.watcher import FolderWatcher, Timing, watch_folder

LOOK_S = 1.0
"""How often it is looked whether the out folder is still the same one."""

JOBS_AT_ONCE = 8
"""Jobs that may be under way; files that settle meanwhile wait for one of them to end."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts of files. done: since the start. failed: as of now. waiting: settling, or under way.

    is_gone: the folder is not there.
    """

    done: int = 0
    failed: int = 0
    waiting: int = 0
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Reports:
    """Who is told. outcome: of every file that is dealt with. failures: of all that have failed,
    by name, whenever they have changed; it is called in a thread, and again after a
        LocalFileError.
    """

    outcome: Callable[[Outcome], None]
    failures: Callable[[dict[str, Failure]], None]


class FolderWatch:
    """spec: what is asked for of each file. out: None leaves results on the server.

    patience: with a server that is away; it should have no end.
    polling, timing: as for `watch_folder`.
    """

    def __init__(
        self,
        client: Client,
        folder: Folder,
        journal: WatchJournal,
        spec: Spec,
        out: OutFolder | None,
        patience: Patience,
        disk: Disk,
        reports: Reports,
        *,
        polling: bool | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._client = client
        self._folder = folder
        self._journal = journal
        self._spec = spec
        self._out = out
        self._patience = patience
        self._disk = disk
        self._reports = reports
        self._polling = polling
        self._timing = timing
        self._shipping = Shipping(client, folder, journal, patience, disk, spec)
        self._results = Results(client, journal, patience, disk, out, self._note_outcome)
        self._slots = asyncio.Semaphore(JOBS_AT_ONCE)
        self._watcher: FolderWatcher | None = None
        self._most_images = 1
        self._done = 0
        self._held_up = 0
        self._listing = Listing(journal, disk, reports.failures, folder.find_gone, self._look_anew)

    @property
    def progress(self) -> Progress:
        watcher = self._watcher
        return Progress(
            done=self._done,
            failed=len(self._journal.failed),
            waiting=self._held_up
            + self._journal.count_left()
            + (watcher.restless if watcher else 0),
            is_gone=watcher is not None and watcher.is_gone,
        )

    async def run(self) -> None:
        """For ever. Raises ApiError when the server refuses, LocalFileError."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listing.run(), name="watch-failures")
                await self._prepare()
                self._watcher = watch_folder(
                    self._folder, self._is_known, polling=self._polling, timing=self._timing
                )
                tasks.create_task(self._listing.tidy(), name="watch-tidy")
                if self._out is not None:
                    tasks.create_task(self._keep_out(self._out), name="watch-out")
                    tasks.create_task(self._restore(), name="watch-restore")
                await self._watch(self._watcher, tasks)
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            await self._listing.finish()

    async def _watch(self, watcher: FolderWatcher, tasks: asyncio.TaskGroup) -> None:
        for batch in list(self._journal.batches.values()):
            await self._slots.acquire()
            tasks.create_task(self._collect(watcher, batch))
        given = cast("AsyncGenerator[list[Sighting], None]", watcher.batches())
        async with aclosing(given) as batches:
            async for sightings in batches:
                new = [one for one in sightings if not await self._is_only_touched(one)]
                for group in split_by_name(new):
                    for part in _chunks(group, self._most_images):
                        await self._slots.acquire()
                        batch = await self._send(watcher, part)
                        tasks.create_task(self._collect(watcher, batch))

    async def _keep_out(self, out: OutFolder) -> None:
        """For ever: go on in the out folder when it was made anew."""
        while True:
            if not await asyncio.to_thread(out.is_there):
                await self._results.wait_until_still(out, LOOK_S)
                await self._disk.insist(out.settle)
            await asyncio.sleep(LOOK_S)

    async def _restore(self) -> None:
        """For ever: what was lost with the out folder is brought back."""
        while True:
            if self._journal.loss is not None:
                await self._results.restore()
                self._listing.note_change()
            await asyncio.sleep(LOOK_S)

    async def _prepare(self) -> None:
        """Take up what an earlier process has left."""
        info = await self._patience.insist(self._client.info)
        self._most_images = info["limits"]["max_images_per_job"]
        for batch in list(self._journal.batches.values()):
            if batch.job_id is None:
                await self._shipping.recover(batch)
        if self._out is not None:
            await asyncio.to_thread(self._out.sweep)
        await self._disk.insist(self._settle_names)
        self._listing.note_change()

    def _settle_names(self) -> None:
        """Blocking. What is there at a start is named together, as the images of one job are."""
        try:
            present = [sighting.name for sighting in self._folder.scan()]
        except FolderGone:
            present = []
        else:
            self._forget(set(present))
        if self._out is not None:
            entries = list(self._journal.entries.items())
            self._out.keep({name: entry.choice for name, entry in entries if entry.choice})
            self._out.choose_at_start(present)

    def _forget(self, present: set[str]) -> None:
        """Of files that are gone only what still stands in the out folder has to be known, or is to
        be brought back there.
        """
        if self._journal.loss is not None:
            return
        under_way = {name for batch in list(self._journal.batches.values()) for name in batch.files}
        entries = {
            name: entry
            for name, entry in list(self._journal.entries.items())
            if name not in present and name not in under_way
        }
        gone = [name for name in self._folder.find_gone(entries) if not self._stands(entries[name])]
        if gone:
            self._journal.forget(gone)

    def _stands(self, entry: Entry) -> bool:
        return self._out is not None and self._out.stands(entry.files)

    def _is_known(self, sighting: Sighting) -> bool:
        return self._journal.is_known(sighting, self._spec.recipe)

    async def _is_only_touched(self, sighting: Sighting) -> bool:
        """Whether the server has the same bytes of this file. One that failed is tried again."""
        entry = self._journal.entries.get(sighting.name)
        if entry is None or entry.fingerprint is None or entry.sha256 is None:
            return False
        if entry.state is State.FAILED or entry.recipe != self._spec.recipe:
            return False
        if entry.fingerprint[0] != sighting.size_bytes:
            return False
        try:
            digest = await asyncio.to_thread(hash_file, self._folder, sighting)
        except OSError:
            return False
        if digest != entry.sha256:
            return False
        await self._disk.insist(partial(self._journal.note_touched, sighting))
        return True

    async def _send(self, watcher: FolderWatcher, sightings: Sequence[Sighting]) -> Batch:
        choices: Mapping[str, str] = {}
        if self._out is not None:
            self._held_up = len(sightings)
            await self._disk.insist(self._out.check)  # what is sent is remembered there
            self._held_up = 0
            choices = self._out.choose(one.name for one in sightings)
        batch = await self._shipping.send(sightings, choices)
        for sighting in sightings:
            failure = self._journal.failed.get(sighting.name)
            if not self._is_known(sighting):
                watcher.give_back(sighting.name)
            elif failure is not None:
                self._note_outcome(Outcome(sighting.name, failure))
        self._listing.note_change()
        return batch

    async def _collect(self, watcher: FolderWatcher, batch: Batch) -> None:
        """Until the batch is dealt with; a slot is held."""
        try:
            for name in await self._results.collect(batch):
                watcher.give_back(name)
        finally:
            self._slots.release()

    def _look_anew(self, name: str) -> None:
        if self._watcher is not None:
            self._watcher.give_back(name)

    def _note_outcome(self, outcome: Outcome) -> None:
        if outcome.failure is None:
            self._done += 1
        else:
            self._listing.note_change()
        self._reports.outcome(outcome)


def _chunks(sightings: Sequence[Sighting], most: int) -> Iterator[Sequence[Sighting]]:
    for start in range(0, len(sightings), most):
        yield sightings[start : start + most]
