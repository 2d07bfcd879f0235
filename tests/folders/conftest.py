from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imgsvc.config import FolderSettings
from imgsvc.folders.service import FolderService
from imgsvc.folders.watcher import Timing
from tests.servers import Running, get_json, make_settings, running_server

SOON = Timing(settle_s=0.05, patience_s=0.2, old_s=0.5, poll_s=0.05, share=1, pause_s=0.01)


async def rest() -> None:
    """Between two looks at what others bring about: a slow machine needs the time for it."""
    await asyncio.sleep(0.02)


@dataclass
class Hotfolder:
    """A server, and a folder that it watches for as long as a test says."""

    server: Running
    root: Path
    out: Path
    service: FolderService

    @classmethod
    async def open(
        cls, server: Running, base: Path, preset: str = "thumbnail", out_name: str = "out"
    ) -> Hotfolder:
        root, out = base / "in", base / out_name
        core = server.core
        settings = FolderSettings(path=root, out=out, preset=preset, polling=True)
        service = FolderService(settings, core.store, core.blobs, core.submitter, timing=SOON)
        await service.load()
        core.store.subscribe(service.follow)
        return cls(server, root, out, service)

    async def work(self, until: Callable[[], object]) -> None:
        """Let the folder be watched until something holds."""
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(until):
                await self.service.run_once()
                await rest()

    async def work_until_made(self, *names: str) -> None:
        await self.work(lambda: all((self.out / name).exists() for name in names))

    async def take(self, jobs: int) -> None:
        """Let files be taken, and nothing delivered, until there are so many jobs."""
        async with asyncio.timeout(30):
            while len(await self.jobs()) < jobs:
                await self.service._take_once()
                await rest()

    async def deliver(self) -> None:
        await self.service._delivery.run_once()

    async def deliver_again(self) -> None:
        """After something was waited for."""
        self.service._delivery._waits_until_s = 0
        await self.deliver()

    async def jobs(self) -> Sequence[dict[str, Any]]:
        """Newest first."""
        jobs: Sequence[dict[str, Any]] = (await get_json(self.server, "/api/v1/jobs"))["items"]
        return jobs

    async def until_final(self) -> None:
        async with asyncio.timeout(30):
            while any(job["finished_at"] is None for job in await self.jobs()):
                await rest()

    def failures(self) -> list[str]:
        """Lines of the list, its heading left out."""
        file = self.out / "failures.csv"
        return file.read_text().splitlines()[1:] if file.exists() else []


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_server(make_settings(tmp_path / "data")) as server:
        yield server


@pytest.fixture
async def hotfolder(server: Running, tmp_path: Path) -> Hotfolder:
    (tmp_path / "in").mkdir()
    return await Hotfolder.open(server, tmp_path)
