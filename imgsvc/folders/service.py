"""A folder that the server watches: its files become jobs, and their results come back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.config import FolderSettings
from imgsvc.domain.job import JobChange
from imgsvc.errors import InvalidRecipe, InvalidRequest, QueueFull, ShuttingDown, StorageFull
from imgsvc.folders.delivery import Delivery
from imgsvc.folders.scan import Folder, Sighting
from imgsvc.folders.taking import Taker, load_fingerprint
from imgsvc.folders.watcher import FolderWatcher, Timing, watch_folder
from imgsvc.service.submit import Submitter
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

SHORTEST_WAIT_S = 1.0
LONGEST_WAIT_S = 15.0
"""Between two tries to hand in what the server cannot take now."""

TIDY_S = 3600.0
"""Between two looks for files that are gone: all that were ever taken are asked for."""


OUT_LOOK_S = 60.0
"""Between two looks for an output folder that is not there, to be swept."""

SWEEP_S = 86_400.0
"""Between two looks for what killed servers have left: all of the output folder is listed."""


class FolderService:
    """leave_out: folders that are not looked into, besides the one for results."""

    def __init__(
        self,
        settings: FolderSettings,
        store: Store,
        blobs: BlobStore,
        submitter: Submitter,
        *,
        leave_out: Sequence[Path] = (),
        timing: Timing | None = None,
    ) -> None:
        out = settings.out
        self._store = store
        self._polling = settings.polling
        self._timing = timing
        self._folder = Folder(settings.path, [*leave_out, *([] if out is None else [out])])
        self._delivery = Delivery(store, blobs, self._folder, out, on_forgotten=self._forget)
        self._taker = Taker(
            store,
            submitter,
            self._folder,
            preset=settings.preset,
            on_job=self._delivery.check,
        )
        self._known: dict[str, int] = {}
        self._waiting: list[Sighting] = []
        self._wait_s = 0.0
        self._reason: str | None = None
        self._watcher: FolderWatcher | None = None

    @property
    def name(self) -> str:
        return self._folder.root.name

    @property
    def key(self) -> str:
        """What the folder is called in the store."""
        return str(self._folder.root)

    async def load(self) -> None:
        """What earlier runs have taken. To be called once, before anything else."""
        async for files in self._store.folders.iter_files(str(self._folder.root)):
            for file in files:
                self._known[file.name] = hash(load_fingerprint(file.fingerprint))
        await self._delivery.load()
        self._watcher = watch_folder(
            self._folder, self._is_known, polling=self._polling, timing=self._timing
        )

    def follow(self, changes: Sequence[JobChange]) -> None:
        """Called with the changes of a commit."""
        self._delivery.follow(changes)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._delivery.run(), name="folder-delivery")
            tasks.create_task(self._watch(), name="folder-watch")
            tasks.create_task(self._tidy(), name="folder-tidy")
            tasks.create_task(self._sweep(), name="folder-sweep")

    async def run_once(self) -> int:
        """Take what can be taken now, and deliver what is finished; how many were taken."""
        count = await self._take_once()
        await self._delivery.run_once()
        return count

    async def _watch(self) -> None:
        watcher = self._loaded()
        log.info("watching", folder=str(self._folder.root), known=len(self._known))
        try:
            while True:
                if await self._take_once():
                    continue
                if self._waiting:
                    await asyncio.sleep(self._wait_s)
                else:
                    await watcher.rest()
        except ShuttingDown:
            return
        finally:
            await watcher.close()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            await self.tidy_once()

    async def _sweep(self) -> None:
        while True:
            is_swept = await self._delivery.sweep()
            await asyncio.sleep(SWEEP_S if is_swept else OUT_LOOK_S)

    async def tidy_once(self) -> None:
        """Files that are gone, with all that was made of them, need not be known for ever."""
        try:
            forgotten = await self._delivery.forget_gone()
        except StorageFull as exc:
            log.warning("folder_not_tidied", folder=self.key, reason=exc.message)
            return
        self._forget(forgotten)
        if forgotten:
            self._taker.forget_names()
            log.info("files_forgotten", folder=self.key, files=len(forgotten))

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._known.pop(name, None)
            self._loaded().give_back(name)

    async def _take_once(self) -> int:
        """How many files are of no concern any more, whatever was made of them."""
        if not self._waiting:
            self._waiting = await self._loaded().run_once()
        batch = self._waiting[: self._taker.most]
        if not batch:
            return 0
        try:
            taken = await self._taker.take(batch)
        except (QueueFull, StorageFull, InvalidRequest, InvalidRecipe) as exc:
            self._note_wait(exc.message)
            return 0
        self._note_wait(None)
        self._waiting = self._waiting[len(batch) :]
        left = {sighting.name for sighting in taken.left}
        for sighting, error in taken.unreadable:
            self._folder.note_unreadable(sighting.name, error)
            left.add(sighting.name)
        for sighting in batch:
            if sighting.name in left:
                self._loaded().give_back(sighting.name)
            else:
                self._known[sighting.name] = hash(sighting.fingerprint)
        return len(batch)

    def _note_wait(self, reason: str | None) -> None:
        """The server cannot take more now; nothing is lost by that. None: it can."""
        root = str(self._folder.root)
        if reason is None:
            self._wait_s = 0.0
            if self._reason is not None:
                log.info("folder_goes_on", folder=root)
        else:
            self._wait_s = min(max(SHORTEST_WAIT_S, 2 * self._wait_s), LONGEST_WAIT_S)
            if self._reason != reason:
                log.warning("folder_waits", folder=root, reason=reason)
        self._reason = reason

    def _is_known(self, sighting: Sighting) -> bool:
        return self._known.get(sighting.name) == hash(sighting.fingerprint)

    def _loaded(self) -> FolderWatcher:
        if self._watcher is None:
            raise RuntimeError("load() comes first")
        return self._watcher
