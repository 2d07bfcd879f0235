"""Patience with the disk: one that is full, or gone, is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from imgsvc.client.errors import LocalFileError
from imgsvc.files.errnos import will_pass

T = TypeVar("T")

PAUSE_S = 3.0


def is_the_disks_fault(error: LocalFileError) -> bool:
    """Whether what is wrong is wrong with the disk, and not with this one file."""
    cause = error.__cause__
    return isinstance(cause, OSError) and will_pass(cause)


class Disk:
    """on_trouble: told what is wrong, each time. on_well: told of a success after that, when
    nobody waits.
    """

    def __init__(
        self,
        on_trouble: Callable[[LocalFileError], None],
        on_well: Callable[[], None],
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._on_trouble = on_trouble
        self._on_well = on_well
        self._pause_s = pause_s
        self._waiting = 0

    async def insist(self, step: Callable[[], T], *, whatever: bool = True) -> T:
        """Take a step in a thread until it can be taken, whatever LocalFileError it raises; or
        raise one that is not the disk's fault.
        """
        has_waited = False
        while True:
            try:
                result = await asyncio.to_thread(step)
            except LocalFileError as exc:
                if not (whatever or is_the_disks_fault(exc)):
                    raise
                await self.pause(exc)
                has_waited = True
            else:
                if has_waited:  # a line of a journal finds space where a result finds none
                    self.note_success()
                return result

    async def pause(self, error: LocalFileError) -> None:
        """Before something that failed is tried again."""
        self._on_trouble(error)
        self._waiting += 1
        try:
            await asyncio.sleep(self._pause_s)
        finally:
            self._waiting -= 1

    def note_success(self) -> None:
        """What stands on another disk may go well while others wait."""
        if not self._waiting:
            self._on_well()
