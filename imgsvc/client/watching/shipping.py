"""Files on their way to the server: a batch of them is one job, whatever breaks off.

Which files go is noted before they go, and under which key. What has arrived when it broke off
the server knows; the rest is unknown again, and is found by the next look at the folder.
"""

from __future__ import annotations

import asyncio
import errno
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from imgsvc.client.answers import Job
from imgsvc.client.client import Client
from imgsvc.client.errors import ApiError, LocalFileError, passing_over_gone
from imgsvc.client.journal import Journal
from imgsvc.client.patience import Patience
from imgsvc.client.sending import name_in_job
from imgsvc.client.upload import FileUpload
from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.entries import Batch, Failure
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.domain.times import now_ms
from imgsvc.domain.watched import UNREADABLE
from imgsvc.folders.scan import Folder, Sighting
from imgsvc.folders.steady import open_steady

UNNAMED = "image"
"""What a file is called in its job when nothing of its name can be."""

_COMES_AGAIN = frozenset({errno.ESTALE, errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM})
_CLOSED_BY_OTHERS = frozenset({"job_closed", "not_found"})


@dataclass(frozen=True, slots=True)
class Spec:
    """job: what jobs are to be, as for Client.submit. recipe: changes with what they make."""

    job: Mapping[str, Any]
    recipe: str


class Shipping:
    def __init__(
        self,
        client: Client,
        folder: Folder,
        journal: WatchJournal,
        patience: Patience,
        disk: Disk,
        spec: Spec,
    ) -> None:
        self._client = client
        self._folder = folder
        self._journal = journal
        self._patience = patience
        self._disk = disk
        self._spec = spec

    async def send(self, sightings: Sequence[Sighting], choices: Mapping[str, str]) -> Batch:
        """Make a job of files, whose names in it differ (see `split_by_name`).

        choices: what their results will be called.
        Those that cannot be read, or have changed, are unknown to the journal afterwards; if
        nothing is left the batch has no images. Raises ApiError when the server says no.
        """
        batch_id = uuid.uuid4().hex
        await self._disk.insist(
            partial(
                self._journal.note_batch,
                batch_id,
                self._spec.recipe,
                self._spec.job,
                sightings,
                choices,
            )
        )
        uploads = [
            FileUpload(one.path, job_name(one.name), partial(open_steady, self._folder, one))
            for one in sightings
        ]
        batch = self._journal.batches[batch_id]
        await self._submit(batch, uploads)
        return batch

    async def recover(self, batch: Batch) -> None:
        """Take up a batch that was being sent when the last process ended: as far as it came."""
        if await asyncio.to_thread(self._note_path(batch).exists):
            await self._submit(batch, [])
        else:
            left = self._journal.find_left(batch)
            await self._disk.insist(partial(self._journal.drop, batch.id, left))

    async def _submit(self, batch: Batch, uploads: list[FileUpload]) -> None:
        path = self._note_path(batch)
        note = await self._disk.insist(partial(_open_note, path))
        with note:
            job_id = await self._insist(batch, uploads, note)
            if job_id is not None:
                await self._note_job(batch, job_id)
            else:
                left = self._journal.find_left(batch)
                await self._disk.insist(partial(self._journal.drop, batch.id, left))
            await self._disk.insist(note.forget)

    async def _insist(self, batch: Batch, uploads: list[FileUpload], note: Journal) -> str | None:
        """The job, closed, with what has arrived where others have closed it. Files that cannot be
        read are taken out of `uploads`. None when the server did not want a job that an earlier
        process had begun.
        """
        is_recovery = not uploads
        while True:
            try:
                job = await self._patience.insist(partial(self._send, batch, uploads, note))
            except LocalFileError as exc:
                if exc.path == note.path:
                    await self._disk.pause(exc)
                else:
                    await self._leave_out(batch, uploads, exc)
            except ApiError as exc:
                if exc.code in _CLOSED_BY_OTHERS and note.job_id is not None:
                    return note.job_id
                if is_recovery and note.job_id is None:
                    return None
                raise
            else:
                self._disk.note_success()
                return job["id"]

    async def _send(self, batch: Batch, uploads: Sequence[FileUpload], note: Journal) -> Job:
        """Where nothing is left to be sent, the job is the one that was begun, also if somebody has
        cancelled it.
        """
        if not uploads and note.job_id is not None:
            return await self._client.close(note.job_id)
        return await self._client.submit(uploads, **batch.spec, journal=note)

    async def _leave_out(
        self, batch: Batch, uploads: list[FileUpload], error: LocalFileError
    ) -> None:
        """One that was changed, or may not be read at the moment, is unknown again; one that
        breaks off while it is read has failed.
        """
        uploads[:] = [upload for upload in uploads if upload.path != error.path]
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _COMES_AGAIN:
            return
        name = next(name for name in batch.files if self._folder.root / name == error.path)
        failure = Failure(UNREADABLE, f"It cannot be read: {error.reason}.", now_ms())
        await self._disk.insist(partial(self._journal.note_failed, batch.id, name, failure))

    async def _note_job(self, batch: Batch, job_id: str) -> None:
        names = {job_name(name): name for name in batch.files}
        images = await self._patience.insist(lambda: self._list_images(job_id))
        arrived = [(index, names[name], sha256) for index, name, sha256 in images if name in names]
        await self._disk.insist(partial(self._journal.note_job, batch.id, job_id, arrived))
        if not images:
            await self._patience.insist(lambda: self._delete(job_id))

    async def _list_images(self, job_id: str) -> list[tuple[int, str, str | None]]:
        """None of a job that is gone."""
        with passing_over_gone():
            return [
                (image["index"], image["name"], image["input"]["sha256"])
                async for image in self._client.images(job_id)
            ]
        return []

    async def _delete(self, job_id: str) -> None:
        with passing_over_gone():
            await self._client.delete(job_id)

    def _note_path(self, batch: Batch) -> Path:
        return self._journal.sending / f"{batch.id}.jsonl"


def _open_note(path: Path) -> Journal:
    """Blocking. Where its folder is gone, none is made in its place. Raises LocalFileError."""
    if not path.parent.is_dir():
        raise LocalFileError(path.parent, "it is gone")
    return Journal.open(path)


def job_name(name: str) -> str:
    """What a file is called in its job."""
    return name_in_job(name) or UNNAMED


def split_by_name(sightings: Iterable[Sighting]) -> list[list[Sighting]]:
    """Groups in which no two files would be called the same in a job."""
    groups: list[dict[str, Sighting]] = []
    for sighting in sightings:
        name = job_name(sighting.name)
        group = next((group for group in groups if name not in group), None)
        if group is None:
            groups.append(group := {})
        group[name] = sighting
    return [list(group.values()) for group in groups]
