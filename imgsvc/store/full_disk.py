"""Waiting for a full disk to be emptied: said once when it begins, and once when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from imgsvc.domain.retries import STORAGE_DELAY_S
from imgsvc.errors import StorageFull
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")


class FullDisk:
    """`with` it a step ends where there is no space, to be done anew. what: the work that waits."""

    def __init__(self, what: str) -> None:
        self._what = what
        self.is_full = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if error is None or isinstance(error, StorageFull):
            self.note(error.message if error else None)
        return isinstance(error, StorageFull)

    def note(self, reason: str | None) -> None:
        """What a step met that could not be done; None when one could."""
        is_full = reason is not None
        if is_full and not self.is_full:
            log.warning("storage_full", what=self._what, reason=reason)
        if self.is_full and not is_full:
            log.info("storage_has_room", what=self._what)
        self.is_full = is_full

    async def insist(self, write: Callable[[], Awaitable[T]]) -> T:
        """Until there is space for it. What was stored is never written again."""
        while True:
            with self:
                return await write()
            await asyncio.sleep(STORAGE_DELAY_S)
