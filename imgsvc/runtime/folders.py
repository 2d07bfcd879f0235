"""The folders that the server itself watches, put together."""

from __future__ import annotations

from collections.abc import Sequence

from imgsvc.config import FolderSettings
from imgsvc.domain.job import JobChange
from imgsvc.errors import InvalidRecipe, InvalidRequest, StartError
from imgsvc.folders.service import FolderService
from imgsvc.runtime.core import Core


class Folders:
    """The part of a core that brings its own images. `start` runs it until the core stops."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._services = [self._build(folder) for folder in core.settings.folders]

    async def start(self) -> None:
        """Raises StartError for a preset that cannot be used."""
        for number, folder in enumerate(self._core.settings.folders):
            try:
                await self._core.presets.resolve(folder.preset, None)
            except (InvalidRequest, InvalidRecipe) as exc:
                raise StartError(
                    f"The settings are not valid.\n  folders.{number}.preset: the preset "
                    f"{folder.preset} cannot be used. {exc.message}"
                ) from exc
        if not self._services:
            return
        self._core.store.subscribe(self._follow)
        for service in self._services:
            await service.load()
            self._core.keep(f"folder {service.name}", service.run())

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
