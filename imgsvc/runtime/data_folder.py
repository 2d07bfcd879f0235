"""A data folder that this process has, and no other one meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from imgsvc.blobs.ballast import SIZE_BYTES, Ballast
from imgsvc.blobs.disk import find_free_bytes
from imgsvc.blobs.layout import Layout
from imgsvc.store.lock import DataFolderLock
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)


@asynccontextmanager
async def holding(data_dir: Path) -> AsyncIterator[DataFolderLock]:
    """On a full disk the space kept aside is given up: to begin takes some, for the log of the
    database, and whoever cannot begin cannot delete. Raises StartError.
    """
    lock = DataFolderLock(data_dir / "lock")
    await asyncio.to_thread(_take, lock, data_dir)
    try:
        yield lock
    finally:
        lock.release()


def _take(lock: DataFolderLock, data_dir: Path) -> None:
    lock.check()
    ballast = Ballast(Layout(data_dir).ballast)
    if ballast.is_kept and find_free_bytes(data_dir) < SIZE_BYTES:
        with suppress(PermissionError):  # the database will say what may not be written
            ballast.give_up()
            log.warning("ballast_given_up", why="the disk is full: delete jobs, or free some")
    lock.acquire()
