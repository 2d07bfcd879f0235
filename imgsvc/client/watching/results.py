"""What became of files that were sent: their results to a folder, as they finish."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from imgsvc.client.answers import Image, ProgressMessage
from imgsvc.client.client import Client
from imgsvc.client.errors import (
    ApiError,
    ClientError,
    LocalFileError,
    ServerUnreachable,
    passing_over_gone,
)
from imgsvc.client.patience import Patience
from imgsvc.client.variants import Variants, check_outputs, variants_of
from imgsvc.client.watching.disk import Disk, is_the_disks_fault
from imgsvc.client.watching.entries import Batch, Entry, Failure, SavedFile, State
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.looks import Looks
from imgsvc.client.watching.out_folder import OutFolder
from imgsvc.client.watching.outcome import Outcome
from imgsvc.domain.times import now_ms
from imgsvc.domain.watched import CANCELLED, NOT_SAVED
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

_FINAL = frozenset({"completed", "failed", "cancelled"})


class Results:
    """out: None leaves results on the server. on_outcome: told of every file."""

    def __init__(
        self,
        client: Client,
        journal: WatchJournal,
        patience: Patience,
        disk: Disk,
        out: OutFolder | None,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._client = client
        self._journal = journal
        self._patience = patience
        self._disk = disk
        self._out = out
        self._on_outcome = on_outcome
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._loss: str | None = None
        self._due: dict[str, Entry] = {}

    async def collect(self, batch: Batch) -> list[str]:
        """Follow a batch's job until every file of it is dealt with.

        Returns the names of those that it came to nothing with, because the server has no such
        job: they are unknown to the journal again. Raises ApiError when the server says no.
        """
        if self._journal.find_left(batch):
            await self._patience.insist(partial(self._follow, batch))
        lost = self._journal.find_left(batch)
        if lost:
            await self._disk.insist(partial(self._journal.drop, batch.id, lost))
        await self._disk.insist(partial(self._journal.end_batch, batch.id))
        return lost

    async def restore(self) -> None:
        """Save again what was saved before the last loss and is missing, as far as the server
        still has it.

        Without the rest its files count as done; they are sent again when they are touched. What
        has gone meanwhile was not asked for: it is for another call, which the journal remembers.
        Each comes back once for every loss: somebody may be taking results away.
        """
        if self._out is None:
            return
        loss = self._journal.loss
        if self._loss != loss:
            self._loss, self._due = loss, await asyncio.to_thread(self._find_done)
        missing = await asyncio.to_thread(_find_missing, self._out, self._due)
        for job_id, names in _by_job(missing).items():
            await self._patience.insist(partial(self._restore, self._out, job_id, names))
        lost = [(entry.batch, name) for name, entry in missing.items() if name in self._due]
        found = len(missing) - len(lost)
        note = partial(self._journal.note_restored, lost, None if found else loss)
        await self._disk.insist(note)
        if found:
            log.info("results_restored", folder=str(self._out.root), count=found)
        if lost:
            log.warning("results_lost", folder=str(self._out.root), count=len(lost))

    async def wait_until_still(self, out: OutFolder, look_s: float) -> None:
        """Until no more results vanish: in a folder that somebody is deleting nothing is made."""
        done = await asyncio.to_thread(self._find_done)
        before, missing = -1, await asyncio.to_thread(_find_missing, out, done)
        while len(missing) != before:
            await asyncio.sleep(look_s)
            before, missing = len(missing), await asyncio.to_thread(_find_missing, out, done)

    def _find_done(self) -> dict[str, Entry]:
        """By name."""
        entries = list(self._journal.entries.items())
        return {name: entry for name, entry in entries if entry.state is State.DONE}

    async def _restore(self, out: OutFolder, job_id: str, names: Mapping[int, str]) -> None:
        """What the server still has is due no more. names: by the index of the image."""
        with passing_over_gone():
            async with aclosing(self._client.images(job_id)) as images:
                async for image in images:
                    name = names.get(image["index"])
                    if name in self._due and image["outputs"]:
                        with passing_over_gone():
                            await self._restore_one(out, job_id, image, name)
                            del self._due[name]

    async def _restore_one(self, out: OutFolder, job_id: str, image: Image, name: str) -> None:
        turn = self._turns.setdefault(name, asyncio.Lock())
        async with turn:
            entry = self._journal.entries[name]
            if (entry.state, entry.job_id) != (State.DONE, job_id):
                return  # it was taken again meanwhile
            failure = await self._save(out, job_id, image, entry.files)
            if failure is None:
                return
            note = partial(self._journal.note_failed, entry.batch, name, failure)
            await self._disk.insist(note)
        self._on_outcome(Outcome(name, failure, job_id=job_id, index=image["index"]))

    async def _follow(self, batch: Batch) -> None:
        """Returns also when the server has no such job, or none any more."""
        variants: Variants = ()
        looks = Looks()
        with passing_over_gone():
            async with aclosing(self._client.follow(batch.job_id or "")) as messages:
                async for message in messages:
                    self._patience.note_answer()
                    job = message["job"]
                    if message["type"] == "snapshot":
                        variants = variants_of(job["recipe"])
                    with passing_over_gone():  # a job that was deleted ends next, or is gone
                        await self._take(batch, message, variants, looks)

    async def _take(
        self, batch: Batch, message: ProgressMessage, variants: Variants, looks: Looks
    ) -> None:
        now_s = asyncio.get_running_loop().time
        if message["type"] == "image":
            await self._settle(batch, message["image"], variants)
        elif message["type"] == "end" and not _is_whole(message["job"]):
            await self._give_up(batch)
        elif looks.is_due(message, now_s()):
            await self._settle_all(batch, variants)
            looks.note(message["job"], now_s())

    async def _settle_all(self, batch: Batch, variants: Variants) -> None:
        if not self._journal.find_left(batch):
            return
        async with aclosing(self._client.images(batch.job_id or "")) as images:
            async for image in images:
                with passing_over_gone():
                    await self._settle(batch, image, variants)

    async def _give_up(self, batch: Batch) -> None:
        """Somebody has deleted the job before its end."""
        for name in self._journal.find_left(batch):
            failure = Failure(CANCELLED, "Its job was deleted on the server.", now_ms())
            await self._disk.insist(partial(self._journal.note_failed, batch.id, name, failure))
            self._on_outcome(Outcome(name, failure, job_id=batch.job_id))

    async def _settle(self, batch: Batch, image: Image, variants: Variants) -> None:
        """Deal with a file whose image is final. Does nothing when it was done already."""
        name = batch.images.get(image["index"])
        if name is None or image["status"] not in _FINAL:
            return
        turn = self._turns.setdefault(name, asyncio.Lock())
        async with turn:  # an older result never comes after a newer one
            if not self._journal.is_left(batch.id, name):
                return
            files: list[SavedFile] = []
            failure = _failure_of(image)
            if failure is None and self._out is not None:
                check_outputs(image["outputs"], variants)
                outputs = [(each["variant"], each["format"]) for each in image["outputs"]]
                files = self._out.place(name, outputs, variants)
                failure = await self._keep(self._out, batch, image, files)
            elif failure is None:
                await self._disk.insist(partial(self._journal.note_done, batch.id, name))
            if failure is not None:
                files = []
                note = partial(self._journal.note_failed, batch.id, name, failure)
                await self._disk.insist(note)
        self._on_outcome(self._describe(name, batch, image, files, failure))

    def _describe(
        self,
        name: str,
        batch: Batch,
        image: Image,
        files: Sequence[SavedFile],
        failure: Failure | None,
    ) -> Outcome:
        paths = {variant: self._out.root / path for variant, _, path in files} if self._out else {}
        return Outcome(
            name=name,
            failure=failure,
            job_id=batch.job_id,
            index=image["index"],
            outputs=tuple(
                {**output, "path": str(paths[output["variant"]]) if paths else None}
                for output in image["outputs"]
            ),
        )

    async def _keep(
        self, out: OutFolder, batch: Batch, image: Image, files: Sequence[SavedFile]
    ) -> Failure | None:
        """Save results and note that they are. Where the folder was lost before the note they stand
        in the old one, and belong in the new one too.
        """
        name, is_noted = batch.images[image["index"]], False
        while not is_noted:
            losses = self._journal.losses
            failure = await self._save(out, batch.job_id or "", image, files)
            if failure is not None:
                return failure
            note = partial(self._journal.note_done, batch.id, name, files, losses)
            is_noted = await self._disk.insist(note)
        return None

    async def _save(
        self, out: OutFolder, job_id: str, image: Image, files: Sequence[SavedFile]
    ) -> Failure | None:
        """Bring results to where they belong, and wait while the folder is full or gone."""
        targets = {variant: path for variant, _, path in files}
        while True:
            try:
                await asyncio.to_thread(out.check)
                await self._client.save_outputs(job_id, image, out.root, targets)
                await asyncio.to_thread(out.check)
            except LocalFileError as exc:
                if not is_the_disks_fault(exc) and await asyncio.to_thread(out.takes_files):
                    return Failure(NOT_SAVED, f"Its result cannot be saved: {exc.reason}", now_ms())
                await self._disk.pause(exc)
            except (ApiError, ServerUnreachable):
                raise
            except ClientError as exc:
                return Failure(NOT_SAVED, exc.message, now_ms())
            else:
                self._disk.note_success()
                return None


def _find_missing(out: OutFolder, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Blocking."""
    return {
        name: entry
        for name, entry in entries.items()
        if entry.files and not out.stands_whole(entry.files)
    }


def _by_job(entries: Mapping[str, Entry]) -> dict[str, dict[int, str]]:
    """Names by index, by job; without those that no job is known of."""
    jobs: dict[str, dict[int, str]] = {}
    for name, entry in entries.items():
        if entry.job_id is not None and entry.index is not None:
            jobs.setdefault(entry.job_id, {})[entry.index] = name
    return jobs


def _is_whole(job: Mapping[str, Any]) -> bool:
    """A job that was deleted ends before its images do."""
    return bool(job["completed"] + job["failed"] + job["cancelled"] == job["total"])


def _failure_of(image: Image) -> Failure | None:
    if image["status"] == "completed":
        return None
    error = image["error"]
    if error is None:
        return Failure(CANCELLED, "It was cancelled on the server.", now_ms())
    return Failure(error["code"], error["message"], now_ms())
