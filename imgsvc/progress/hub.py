"""The hub: every change goes in once, and each reader takes what it has not seen yet.

A reader holds at most one event per image and one for the job. A newer event of the same
image takes the place of the older one, so a slow reader misses intermediate states,
never the last, and needs memory for no more than its job's images. A reader of all jobs holds
one event per job, and none when thousands wait: it is told to look at all jobs instead. Events
are shared by all readers; nothing waits for a reader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
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


class FellBehind(Exception):
    """More jobs have changed since the reader last took than are held for it; which is not known.

    Whatever changes from now on is held again.
    """


MOST_UNSEEN_JOBS = 5000
FEW_READERS = 20
PAUSE_PER_READER_S = 0.001
LONGEST_PAUSE_S = 0.25


class Reader:
    """One watcher of one job, or of all jobs when `job_id` is None.

    pause_s: how long it rests between two takes.
    """

    def __init__(self, job_id: str | None, pause_s: Callable[[], float] = lambda: 0.0) -> None:
        self.job_id = job_id
        self._pause_s = pause_s
        self._rested_at_s = 0.0
        self._unseen: dict[object, Event] = {}
        self._wake = asyncio.Event()
        self._closed = False
        self._fell_behind = False

    def offer(self, key: object, event: Event) -> None:
        if self._fell_behind:
            return
        self._unseen.pop(key, None)
        self._unseen[key] = event
        if self.job_id is None and len(self._unseen) > MOST_UNSEEN_JOBS:
            self._fell_behind = True
            self._unseen.clear()
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def unseen(self) -> int:
        """How many events wait to be taken."""
        return len(self._unseen)

    async def take(self, most: int = 100) -> list[Event]:
        """The next events in the order of `seq`, at least one. Raises HubClosed, FellBehind."""
        clock = asyncio.get_running_loop().time
        if not self._closed and (rest_s := self._rested_at_s - clock()) > 0:
            await asyncio.sleep(rest_s)
        while not self._unseen:
            if self._closed:
                raise HubClosed
            if self._fell_behind:
                self._fell_behind = False
                raise FellBehind
            self._wake.clear()
            await self._wake.wait()
        self._rested_at_s = clock() + self._pause_s()
        keys = list(self._unseen)[:most] if len(self._unseen) > most else list(self._unseen)
        return [self._unseen.pop(key) for key in keys]


class Hub:
    def __init__(self) -> None:
        self._readers: dict[str | None, set[Reader]] = {}
        self._states: dict[str, JobState] = {}
        self._closed = False
        self._count = 0

    @contextmanager
    def watch(self, job_id: str | None) -> Iterator[Reader]:
        """A reader of everything that is published from now on."""
        reader = Reader(job_id, self._pause_s)
        self._readers.setdefault(job_id, set()).add(reader)
        self._count += 1
        if self._closed:
            reader.close()
        try:
            yield reader
        finally:
            self._count -= 1
            readers = self._readers[job_id]
            readers.discard(reader)
            if not readers:
                del self._readers[job_id]
                if job_id is not None:
                    self._states.pop(job_id, None)

    @property
    def readers(self) -> int:
        """How many watch a job, or all of them."""
        return self._count

    def publish(self, changes: Sequence[JobChange]) -> None:
        """Called with the changes of a commit, in the order of commits."""
        for change in changes:
            if readers := self._readers.get(change.job.id):
                self._publish_to_job(change, readers)
            if not change.job.hidden and (readers := self._readers.get(None)):
                event = Event(change.job.seq, change.job, deleted=change.deleted)
                for reader in readers:
                    reader.offer(change.job.id, event)

    def _pause_s(self) -> float:
        """Nothing for a few readers; for hundreds a quarter of a second, so that what changes
        meanwhile goes out at once, and what has changed twice goes out once.
        """
        if self._count <= FEW_READERS:
            return 0.0
        return min(self._count * PAUSE_PER_READER_S, LONGEST_PAUSE_S)

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
