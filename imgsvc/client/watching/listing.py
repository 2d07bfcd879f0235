"""The list of what has failed, kept true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial

from imgsvc.client.errors import LocalFileError
from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.entries import Failure, State
from imgsvc.client.watching.journal import WatchJournal

PAUSE_S = 0.5
"""Between two changes of the list."""

TIDY_S = 30.0
"""How often it is looked whether files that failed are still there."""


class Listing:
    """tell: is given all failures by name, in a thread, and again after a LocalFileError.
    find_gone: which of these files, by name, stand no more where they failed; asked in a thread.
    look_anew: told of each of them, once it is unknown.
    """

    def __init__(
        self,
        journal: WatchJournal,
        disk: Disk,
        tell: Callable[[dict[str, Failure]], None],
        find_gone: Callable[[Collection[str]], Collection[str]],
        look_anew: Callable[[str], None],
    ) -> None:
        self._journal = journal
        self._disk = disk
        self._tell = tell
        self._find_gone = find_gone
        self._look_anew = look_anew
        self._has_changed = asyncio.Event()

    def note_change(self) -> None:
        self._has_changed.set()

    async def run(self) -> None:
        """For ever: the list follows the failures."""
        while True:
            await self._has_changed.wait()
            self._has_changed.clear()
            await self._disk.insist(self._list)
            await asyncio.sleep(PAUSE_S)

    async def tidy(self) -> None:
        """For ever: a file that failed and is gone has not failed any more."""
        while True:
            await asyncio.sleep(TIDY_S)
            await self.tidy_once()

    async def tidy_once(self) -> None:
        entries = self._journal.entries
        failed = {name: entries[name] for name in list(self._journal.failed)}
        batches = {name: one.batch for name, one in failed.items() if one.state is State.FAILED}
        gone = await asyncio.to_thread(self._find_gone, batches)
        for name in gone:
            await self._disk.insist(partial(self._journal.drop, batches[name], [name]))
            self.note_change()
        for name in gone:  # it may be back
            self._look_anew(name)

    async def finish(self) -> None:
        """Say at the end what was not said yet, if the disk takes it."""
        if self._has_changed.is_set():
            with suppress(LocalFileError):
                await asyncio.to_thread(self._list)

    def _list(self) -> None:
        self._tell(dict(self._journal.failed))
