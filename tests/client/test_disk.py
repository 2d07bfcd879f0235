"""Waiting for a disk: who waits, and when it is over."""

from __future__ import annotations

import errno
from pathlib import Path

from imgsvc.client import LocalFileError
from imgsvc.client.errors import translating
from imgsvc.client.watching.disk import Disk


async def test_a_small_step_that_goes_well_does_not_end_the_trouble_of_a_large_one() -> None:
    told: list[str] = []
    disk = Disk(lambda _: told.append("full"), lambda: told.append("well"), pause_s=0)
    await disk.pause(LocalFileError(Path("out"), "No space left on device"))
    await disk.insist(lambda: None)
    assert told == ["full"]
    disk.note_success()
    assert told == ["full", "well"]


async def test_a_step_that_had_to_wait_says_when_that_is_over() -> None:
    told: list[str] = []

    def write() -> None:
        if not told:
            with translating(Path("out")):
                raise OSError(errno.ENOSPC, "No space left on device")

    disk = Disk(lambda error: told.append(error.reason), lambda: told.append("well"), pause_s=0)
    await disk.insist(write)
    assert told == ["No space left on device", "well"]
