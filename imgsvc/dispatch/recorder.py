"""Makes results durable: files first, then rows, many at a time.

While one group is being synced and committed the next one gathers, so a worker never
waits for a disk and a disk never works for a single image when several are ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.publication import Link, Obstacle, Publication
from imgsvc.domain.image import Image
from imgsvc.domain.rendering import Failure, InputFacts, Rendered, TaskKey, output_path
from imgsvc.domain.retries import STORAGE_DELAY_S
from imgsvc.domain.times import now_ms
from imgsvc.errors import ImageErrorCode, StorageFull
from imgsvc.store.full_disk import FullDisk
from imgsvc.store.images import ImageResult, Release
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """All outputs of the image stand somewhere.

    links: where those stand that were made for another image before. output_prefix: of
    the others, as the worker had it; None when there are none.
    """

    image: Image
    outcome: Rendered
    output_prefix: str | None
    links: Mapping[str, Link]
    reuse_key: str | None

    def publication(self) -> Publication:
        image, moved, linked = self.image, {}, {}
        for output in self.outcome.outputs:
            if (link := self.links.get(output.variant)) is not None:
                linked[output.variant] = link
            elif self.output_prefix is not None:
                path = Path(output_path(self.output_prefix, output.variant, output.format))
                moved[output.variant] = path, output.format
        return Publication(image.job_id, image.id, image.claim, moved, linked)


@dataclass(frozen=True, slots=True)
class Refused:
    """The image has failed for good."""

    image: Image
    failure: Failure
    input: InputFacts | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Returned:
    """The image goes back to pending, to be dispatched again.

    counts: whether the try counts as an attempt. delay_s: how long to wait at least.
    memory_bytes: what its decode is known to cost, from now on. unlinked: the outputs
    found for it could not be linked.
    """

    image: Image
    counts: bool
    failure: Failure | None = None
    delay_s: float = 0.0
    memory_bytes: int | None = None
    unlinked: bool = False


Record = Made | Refused | Returned


class Recorder:
    """Commits records in groups.

    Then `on_returned` hears of images that are pending again, and `on_recorded` of every
    dispatch that has ended, whatever it came to.
    """

    def __init__(
        self,
        store: Store,
        blobs: BlobStore,
        *,
        keep_inputs: bool,
        on_returned: Callable[[Sequence[Returned]], None],
        on_recorded: Callable[[Sequence[TaskKey]], None],
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._keep_inputs = keep_inputs
        self._on_returned = on_returned
        self._on_recorded = on_recorded
        self._records: list[Record] = []
        self._disk = FullDisk("results")
        self._space = FullDisk("images")
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, record: Record) -> None:
        self._records.append(record)
        self._idle.clear()
        self._wake.set()

    @property
    def backlog(self) -> int:
        """How many records wait to be made durable."""
        return len(self._records)

    async def flush(self) -> None:
        """Return once everything added so far is durable."""
        await self._idle.wait()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.run_once()

    async def run_once(self) -> None:
        """Make durable what has gathered; on a full disk, try again until it is."""
        while self._records:
            records, self._records = self._records, []
            await self._record(await self._publish(records))
            self._on_recorded([record.image.key for record in records])
        self._idle.set()

    async def _publish(self, records: Sequence[Record]) -> list[Record]:
        """Move the outputs to where they stay; what cannot be moved now is returned."""
        made = [record for record in records if isinstance(record, Made)]
        if not made:
            return list(records)
        try:
            failed = await self._blobs.publish([record.publication() for record in made])
        except StorageFull as exc:
            failure = Failure(ImageErrorCode.STORAGE_FULL, exc.message)
            return [
                Returned(record.image, False, failure, STORAGE_DELAY_S)
                if isinstance(record, Made)
                else record
                for record in records
            ]
        obstacles = {(u.publication.image_id, u.publication.claim): u.obstacle for u in failed}
        return [_after_obstacle(record, obstacles) for record in records]

    async def _record(self, records: Sequence[Record]) -> None:
        results = [result for record in records if (result := _result(record))]
        returned = [record for record in records if isinstance(record, Returned)]
        self._note_space(records)
        if any(map(_lacks_files, records)):
            await self._store.look()
        now = now_ms()
        won = await self._commit(results, [_release(record, now) for record in returned], now)
        await self._clear_away([r for r in records if not isinstance(r, Returned)], won)
        self._on_returned(returned)

    def _note_space(self, records: Sequence[Record]) -> None:
        """Tell when images begin to wait for space, and when the next ones find some."""
        waiting = (r.failure for r in records if isinstance(r, Returned) and r.failure)
        reason = next((f.message for f in waiting if f.code is ImageErrorCode.STORAGE_FULL), None)
        if reason is not None or any(isinstance(record, Made) for record in records):
            self._space.note(reason)

    async def _commit(
        self, results: Sequence[ImageResult], releases: Sequence[Release], now: int
    ) -> list[bool]:
        """Both at once, so that they share a commit; each is tried until it is stored."""

        async def finish() -> list[bool]:
            return await self._store.finish_images(results, now) if results else []

        async def release() -> list[bool]:
            return await self._store.release_images(releases, now) if releases else []

        won, _ = await asyncio.gather(self._disk.insist(finish), self._disk.insist(release))
        return won

    async def _clear_away(self, records: Sequence[Made | Refused], won: Sequence[bool]) -> None:
        """Remove files no row names: of late results, and inputs that nobody needs."""
        unwanted: list[Path] = []
        for record, is_won in zip(records, won, strict=True):
            image = record.image
            if not isinstance(record, Made):
                continue
            if not is_won:
                unwanted += [
                    self._blobs.output_path(
                        image.job_id, image.id, image.claim, o.variant, o.format
                    )
                    for o in record.outcome.outputs
                ]
            elif not self._keep_inputs and image.path is None:
                unwanted.append(self._blobs.input_path(image.job_id, image.id))
        if unwanted:
            await self._blobs.discard(unwanted)


def _after_obstacle(record: Record, obstacles: Mapping[tuple[str, int], Obstacle]) -> Record:
    """What becomes of a record whose files could not be moved."""
    obstacle = obstacles.get((record.image.id, record.image.claim))
    if not isinstance(record, Made) or obstacle is None:
        return record
    if obstacle is Obstacle.LINK_FAILED:
        return Returned(record.image, counts=False, unlinked=True)
    if obstacle is not Obstacle.JOB_GONE:  # where it was deleted, no row is left to fail, either
        log.error("output_missing", job_id=record.image.job_id, index=record.image.index)
    message = "The finished file could not be kept."
    return Refused(record.image, Failure(ImageErrorCode.INTERNAL, message))


def _lacks_files(record: Record) -> bool:
    """The whole data folder may have been moved: then the image is to be made again."""
    return isinstance(record, Refused) and record.failure.code is ImageErrorCode.INTERNAL


def _result(record: Record) -> ImageResult | None:
    match record:
        case Made(image=image, outcome=outcome, reuse_key=reuse_key):
            return ImageResult(image.key, outcome, outcome.input, outcome.duration_ms, reuse_key)
        case Refused(image=image, failure=failure):
            return ImageResult(image.key, failure, record.input, record.duration_ms)
    return None


def _release(record: Returned, now: int) -> Release:
    return Release(
        key=record.image.key,
        count_attempt=record.counts,
        last_error=record.failure,
        not_before=now + round(record.delay_s * 1000) if record.delay_s else None,
        memory_bytes=record.memory_bytes,
    )
