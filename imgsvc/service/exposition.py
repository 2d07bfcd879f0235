"""What the server is at the moment, put into its metrics, and these as text."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.config import Settings
from imgsvc.dispatch.workforce import Workforce
from imgsvc.domain.states import ImageState, Priority
from imgsvc.errors import StorageFull
from imgsvc.progress.hub import Hub
from imgsvc.progress.tally import Tally
from imgsvc.store.store import Store
from imgsvc.telemetry.metrics import Metrics
from imgsvc.workers.pool import WorkerPool


class Exposition:
    """Asks everybody for what they know anyway: no query, no look at a single job.

    count_left_alone: hosts that are not asked for a while. count_undelivered: messages that wait.
    """

    def __init__(
        self,
        metrics: Metrics,
        tally: Tally,
        store: Store,
        blobs: BlobStore,
        pool: WorkerPool,
        workforce: Workforce,
        hub: Hub,
        *,
        settings: Settings,
        count_left_alone: Callable[[], int],
        count_undelivered: Callable[[], int],
    ) -> None:
        self._metrics = metrics
        self._tally = tally
        self._store = store
        self._blobs = blobs
        self._pool = pool
        self._workforce = workforce
        self._hub = hub
        self._count_left_alone = count_left_alone
        self._count_undelivered = count_undelivered
        metrics.queue_max.set(settings.limits.max_pending_images)
        metrics.reserve_bytes.set(settings.storage.reserve_bytes)

    async def expose(self, *, plain: bool) -> tuple[bytes, str]:
        """The text and its media type, as in `Metrics.expose`."""
        metrics = self._metrics
        metrics.free_bytes.set(await self._free_bytes())
        metrics.wal_bytes.set(await self._store.wal_bytes())
        self._look()
        return await asyncio.to_thread(metrics.expose, plain=plain)

    async def _free_bytes(self) -> float:
        """Not a number where the disk does not say: all the rest is of use then, too."""
        try:
            return await self._blobs.free_bytes()
        except (OSError, StorageFull):
            return math.nan

    def _look(self) -> None:
        self._look_at_queue()
        self._look_at_workers()
        metrics, effort = self._metrics, self._store.effort
        metrics.commits.set(effort.commits)
        metrics.operations.set(effort.operations)
        metrics.commit_s.set(effort.seconds)
        metrics.hosts_left_alone.set(self._count_left_alone())
        metrics.undelivered.set(self._count_undelivered())
        metrics.readers.set(self._hub.readers)

    def _look_at_queue(self) -> None:
        self._metrics.queue_jobs.set(self._store.pending.jobs)
        in_hands = self._tally.in_hands
        for priority in Priority:
            left, unfetched = self._store.pending.of(priority)
            fetching = in_hands[priority, ImageState.FETCHING]
            processing = in_hands[priority, ImageState.PROCESSING]
            images = {
                "unfetched": unfetched - fetching,
                "fetching": fetching,
                "waiting": left - unfetched - processing,
                "processing": processing,
            }
            for state, count in images.items():
                self._metrics.queue.labels(priority.value, state).set(count)

    def _look_at_workers(self) -> None:
        metrics, facts, toll = self._metrics, self._workforce.facts(), self._pool.toll
        metrics.workers_size.set(facts.size)
        for state in ("busy", "idle", "starting", "leaving"):
            metrics.workers.labels(state).set(getattr(facts, state))
        resident_bytes = sum(worker.resident_bytes for worker in self._pool.workers())
        metrics.workers_bytes.set(resident_bytes)
        for cause, count in toll.deaths.items():
            metrics.deaths.set(count, cause)
        metrics.replacements.set(toll.replaced)
