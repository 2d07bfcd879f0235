"""The folders that the server itself watches, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from imgsvc.config import FolderSettings
from imgsvc.domain.job import JobChange
from imgsvc.errors import InvalidRecipe, InvalidRequest, StartError
from imgsvc.files.state import is_out_folder
from imgsvc.folders.service import FolderService
from imgsvc.runtime.core import Core
from imgsvc.service.presets import KnownPresets
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)


class Folders:
    """The part of a core that brings its own images. `start` runs it until the core stops."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._services = [self._build(folder) for folder in core.settings.folders]

    async def start(self) -> None:
        """Raises StartError as `check_folders` does."""
        await check_folders(self._core.settings.folders, self._core.presets)
        await self._forget_others()
        self._services = [one for one in self._services if not await _has_results(one)]
        if not self._services:
            return
        self._core.store.subscribe(self._follow)
        for service in self._services:
            await service.load()
            self._core.keep(f"folder {service.name}", service.run())

    async def _forget_others(self) -> None:
        """Jobs wait for their results to be delivered, but not for a folder that is watched no
        more.
        """
        watched = [service.key for service in self._services]
        for folder, files in (await self._core.store.forget_unwatched_files(watched)).items():
            log.warning("folder_watched_no_more", folder=folder, not_delivered=files)

    def _build(self, folder: FolderSettings) -> FolderService:
        core = self._core
        return FolderService(
            folder,
            core.store,
            core.blobs,
            core.submitter,
            leave_out=[core.settings.storage.data_dir],
        )

    def _follow(self, changes: Sequence[JobChange]) -> None:
        for service in self._services:
            service.follow(changes)


async def _has_results(service: FolderService) -> bool:
    """Results would be taken for new images. Whoever may put files there may mark the folder so,
    which is no reason to leave the others.
    """
    if not await asyncio.to_thread(is_out_folder, service.key):
        return False
    log.error("folder_has_results", folder=service.key)
    return True


async def check_folders(folders: Sequence[FolderSettings], presets: KnownPresets) -> None:
    """Raises StartError for a preset that cannot be used."""
    for number, folder in enumerate(folders):
        try:
            await presets.resolve(folder.preset, None)
        except (InvalidRequest, InvalidRecipe) as exc:
            raise StartError(
                f"The settings are not valid.\n  folders.{number}.preset: the preset "
                f"{folder.preset} cannot be used. {exc.message}"
            ) from exc
