"""The end of a database in use: once it is damaged, nothing is read or written any more."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import Executor
from pathlib import Path
from typing import NoReturn

from imgsvc.errors import DatabaseBroken, ImgsvcError, ShuttingDown
from imgsvc.files.errnos import is_disk_full
from imgsvc.store.connections import is_broken, no_room, translate_error
from imgsvc.store.room import find_obstacle, may_want_room
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

NEXT_START = "The next start says what to do."

_OUTCOME = "the database is not read or written any more, and the program stops"


class Breakdown:
    """Shared by all who use one database. folder: where it lies; None to take a quota that is
    used up for a disk that fails. thread: as the writer's, which may wait for it.
    """

    def __init__(self, folder: Path | None = None, thread: Executor | None = None) -> None:
        self._folder = folder
        self._thread = thread
        self._noted = asyncio.Event()
        self._reason = ""

    @property
    def has_come(self) -> bool:
        return self._noted.is_set()

    def check(self) -> None:
        """Raises ShuttingDown once the database has broken down."""
        if self.has_come:
            raise _refusal()

    def note(self, reason: str, advice: str = NEXT_START) -> None:
        """Only the first is kept: others follow from it."""
        if not self.has_come:
            self._reason = reason
            log.critical("database_broken", reason=reason, outcome=_OUTCOME, advice=advice)
            self._noted.set()

    async def translate(self, exc: sqlite3.Error) -> ImgsvcError:
        """What a driver's error is called here; damage is noted."""
        reason = str(exc)
        if self._folder and may_want_room(exc):
            loop = asyncio.get_running_loop()
            obstacle = await loop.run_in_executor(self._thread, find_obstacle, self._folder)
            if obstacle and is_disk_full(obstacle):
                return _refusal() if self.has_come else no_room()
            if obstacle:
                reason += f" ({obstacle.strerror})"
        if is_broken(exc):
            self.note(reason)
        return _refusal() if self.has_come else translate_error(exc)

    async def wait(self) -> NoReturn:
        """Raises DatabaseBroken when it has come."""
        await self._noted.wait()
        raise self._error()

    def explain_end(self, exc: BaseException) -> BaseException:
        """Why a task has died: where a database that has broken down refused it something, or
        tasks of its own, that.
        """
        refused = isinstance(exc, ShuttingDown) or (
            isinstance(exc, BaseExceptionGroup) and exc.split(ShuttingDown)[1] is None
        )
        return self._error() if refused and self.has_come else exc

    def _error(self) -> DatabaseBroken:
        return DatabaseBroken(f"The database has broken down: {self._reason}")


def _refusal() -> ShuttingDown:
    return ShuttingDown("The database has failed: nothing is read or written any more.")
