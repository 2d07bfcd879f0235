"""The hub: every change goes in once, and each reader takes what it has not seen yet.

A reader holds at most one event per image and one for the job. A newer event of the same
image takes the place of the older one, so a slow reader misses intermediate states,
never the last, and needs memory for no more than its job's images. Events are shared by
all readers; nothing waits for a reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from imgsvc.domain.image import Image
from imgsvc.domain.job import Job, JobChange
from imgsvc.domain.states import JobState


class Event:
    """An image's new state (or, without an image, the job's own) and the job after it.

    encoded: the message as text once somebody has needed it, so that it is made only
    once for all readers.
    """

    __slots__ = ("deleted", "encoded", "image", "job", "seq")

    def __init__(
        self, seq: int, job: Job, image: Image | None = None, *, deleted: bool = False
    ) -> None:
        self.seq = seq
        self.job = job
        self.image = image
        self.deleted = deleted
        self.encoded: str | None = None


class HubClosed(Exception):
    """The server stops; no more events will come."""


class Reader:
    """One watcher of one job, or of all jobs when `job_id` is None."""

    def __init__(self, job_id: str | None) -> None:
        self.job_id = job_id
        self._unseen: dict[object, Event] = {}
        self._wake = asyncio.Event()
        self._closed = False

    def offer(self, key: object, event: Event) -> None:
        self._unseen.pop(key, None)
        self._unseen[key] = event
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    @property
    def unseen(self) -> int:
        """How many events wait to be taken."""
        return len(self._unseen)

    async def take(self, most: int = 100) -> list[Event]:
        """The next events in the order of `seq`, at least one. Raises HubClosed."""
        while not self._unseen:
            if self._closed:
                raise HubClosed
            self._wake.clear()
            await self._wake.wait()
        keys = list(self._unseen)[:most] if len(self._unseen) > most else list(self._unseen)
        return [self._unseen.pop(key) for key in keys]


class Hub:
    def __init__(self) -> None:
        self._readers: dict[str | None, set[Reader]] = {}
        self._states: dict[str, JobState] = {}
        self._closed = False

    @contextmanager
    def watch(self, job_id: str | None) -> Iterator[Reader]:
        """A reader of everything that is published from now on."""
        reader = Reader(job_id)
        self._readers.setdefault(job_id, set()).add(reader)
        if self._closed:
            reader.close()
        try:
            yield reader
        finally:
            readers = self._readers[job_id]
            readers.discard(reader)
            if not readers:
                del self._readers[job_id]
                if job_id is not None:
                    self._states.pop(job_id, None)

    def publish(self, changes: Sequence[JobChange]) -> None:
        """Called with the changes of a commit, in the order of commits."""
        for change in changes:
            if readers := self._readers.get(change.job.id):
                self._publish_to_job(change, readers)
            if not change.job.hidden and (readers := self._readers.get(None)):
                event = Event(change.job.seq, change.job, deleted=change.deleted)
                for reader in readers:
                    reader.offer(change.job.id, event)

    def close(self) -> None:
        """Let every reader take what it has not seen yet and then end."""
        self._closed = True
        for readers in self._readers.values():
            for reader in readers:
                reader.close()

    def _publish_to_job(self, change: JobChange, readers: set[Reader]) -> None:
        job = change.job
        for changed in change.images:
            event = Event(changed.seq, job, changed.image)
            for reader in readers:
                reader.offer(changed.image.index, event)
        state_before = self._states.get(job.id)
        self._states[job.id] = job.state
        if change.deleted or not change.images or job.state is not state_before:
            event = Event(job.seq, job, deleted=change.deleted)
            for reader in readers:
                reader.offer(None, event)
