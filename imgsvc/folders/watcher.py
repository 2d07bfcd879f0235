"""Watching a folder: the files in it that have stopped changing, each once for every content.

Whatever tells of changes only makes it look sooner. What it gives out follows from what it
sees in the folder and from what its caller says is known, so nothing is lost by what was not
told, or by a restart.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice

from imgsvc.folders.mounts import is_remote
from imgsvc.folders.notices import KernelNotices, NoNotices, Notices
from imgsvc.folders.scan import Fingerprint, Folder, FolderGone, Sighting
from imgsvc.folders.settling import Settled, Settling
from imgsvc.folders.verdicts import Verdict, judge
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """settle_s: how long a file must look the same. patience_s: the same where its end is
        missing.
    old_s: a file that was changed longer ago than this is not watched at a start.
    poll_s: between two looks at a whole folder that nothing tells of, at least; sweep_s: at one
        that is told of. Either becomes longer until looking takes no more of a processor than
        `share`.
    absence_s: between two looks for a folder that is gone, and for a file that cannot be read.
    pause_s: between two looks at what may still change.
    """

    settle_s: float = 1.0
    patience_s: float = 60.0
    old_s: float = 60.0
    poll_s: float = 2.0
    sweep_s: float = 300.0
    share: float = 0.01
    absence_s: float = 5.0
    pause_s: float = 0.25


CHUNK = 256
"""Files given out at a time."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look has found and nobody knows. names: what was looked for, None for everything.
    cpu_s: what it has cost.
    """

    found: list[Sighting]
    identity: tuple[int, int]
    names: Collection[str] | None
    cpu_s: float


class FolderWatcher:
    """is_known: whether a file, as it was seen, is taken already. It is called in a thread and
        must not block. What was given out and is not known by the next full look is given out
        again only if it has changed, or after `give_back`.
    choose_notices: what is to tell of changes, by what the folder stands on; it is called in a
        thread whenever the folder has come, and may set the folder's `has_inodes`.
    clock: seconds that only rise. wall: seconds since 1970.
    """

    def __init__(
        self,
        folder: Folder,
        is_known: Callable[[Sighting], bool],
        choose_notices: Callable[[Folder], Notices],
        *,
        timing: Timing | None = None,
        chunk: int = CHUNK,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self._is_known = is_known
        self._choose_notices = choose_notices
        self._notices: Notices = NoNotices()
        self._has_chosen = False
        self._timing = timing or Timing()
        self._chunk = chunk
        self._now_s = clock
        self._wall_s = wall
        self._settling = Settling(
            settle_s=self._timing.settle_s, patience_s=self._timing.patience_s
        )
        self._identity: tuple[int, int] | None = None  # None until it was there once
        self._is_gone = False
        self._is_first = True
        self._swept_at_s: float | None = None
        self._sweep_cpu_s = 0.0
        self._wants_sweep = True
        self._touched: set[str] = set()
        self._ready: deque[Settled] = deque()
        self._handled: dict[str, Fingerprint] = {}

    async def batches(self) -> AsyncIterator[list[Sighting]]:
        """For ever: files to be taken, those that were there first at the beginning."""
        try:
            while True:
                batch = await self.run_once()
                if batch:
                    yield batch
                else:
                    await self.rest()
        finally:
            await self.close()

    async def run_once(self) -> list[Sighting]:
        """Look where a look is due; up to a chunk of what is to be taken."""
        if not self._ready:
            await self._look()
        return await self._take_chunk()

    async def rest(self) -> None:
        """Until there may be something to look at."""
        await self._notices.wait(self.rest_s())

    async def close(self) -> None:
        """Be told of nothing any more."""
        await self._notices.close()

    def give_back(self, name: str) -> None:
        """A file that was given out has not been taken, or is forgotten: it is looked at anew."""
        self._handled.pop(name, None)
        self._touched.add(name)

    @property
    def restless(self) -> int:
        """How many files may still be changing, or wait for their end."""
        return len(self._settling)

    @property
    def is_gone(self) -> bool:
        """Whether the folder was not there at the last look."""
        return self._is_gone

    def rest_s(self) -> float:
        """How long nothing needs to be looked at, unless something is told."""
        now_s = self._now_s()
        due = [self._sweep_due_s(), now_s + self._timing.absence_s]
        if (settles_s := self._settling.next_due_s()) is not None:
            due.append(max(settles_s, now_s + self._timing.pause_s))
        if self._touched:
            due.append(now_s + self._timing.pause_s)
        return max(0.0, min(due) - now_s)

    async def _look(self) -> None:
        now_s = self._now_s()
        is_due = now_s >= self._sweep_due_s()
        if self._is_gone and not is_due:
            return
        changed = self._notices.take()
        if "" in changed:
            changed.discard("")
            self._wants_sweep = True
        names = None if is_due else changed | self._touched | set(self._settling.due(now_s))
        self._touched = set()
        if not self._has_chosen:
            self._notices = await asyncio.to_thread(self._choose_notices, self.folder)
            self._has_chosen = True
        try:
            look = await asyncio.to_thread(self._read, names)
        except FolderGone as exc:
            await self._note_gone(exc, now_s)
            return
        if self._identity is None:
            self._note_arrival(look.identity)
        elif look.identity != self._identity:
            await self._note_gone(FolderGone("Another one stands in its place"), now_s)
            self._swept_at_s = None
            return
        self._digest(look, now_s)
        await self._cover()

    def _read(self, names: Collection[str] | None) -> _Look:
        """Blocking. names: None for everything."""
        begun_s = time.thread_time()
        identity = self.folder.identify()
        seen = self.folder.scan() if names is None else self.folder.look(names)
        found = [sighting for sighting in seen if not self._is_known(sighting)]
        return _Look(found, identity, names, time.thread_time() - begun_s)

    def _digest(self, look: _Look, now_s: float) -> None:
        found = {sighting.name for sighting in look.found}
        if look.names is None:
            self._swept_at_s, self._wants_sweep = now_s, False
            self._sweep_cpu_s = look.cpu_s
            handled = self._handled
            self._handled = {name: handled[name] for name in handled.keys() & found}
        names = tuple(self._settling) if look.names is None else look.names
        self._settling.forget([name for name in names if name not in found])
        old_ns = (self._wall_s() - self._timing.old_s) * 1e9
        for sighting in look.found:
            if self._handled.get(sighting.name) != sighting.fingerprint:
                self._handled.pop(sighting.name, None)
                is_old = self._is_first and sighting.mtime_ns < old_ns
                self._settling.see(sighting, now_s, is_old=is_old)
        self._is_first = self._is_first and look.names is not None
        for settled in self._settling.take_settled():
            self._handled[settled.sighting.name] = settled.sighting.fingerprint
            self._ready.append(settled)

    async def _cover(self) -> None:
        """Be told of what happens in folders that were found, and look at them once more."""
        added = await self._notices.cover(self.folder.folders)
        if "" in added:
            self._swept_at_s = None
        else:
            self._touched.update(added)

    async def _take_chunk(self) -> list[Sighting]:
        chunk = list(islice(self._ready, self._chunk))
        verdicts = await asyncio.to_thread(self._judge, chunk) if chunk else []
        now_s = self._now_s()
        batch = []
        for settled, verdict in zip(chunk, verdicts, strict=True):
            self._ready.popleft()
            if verdict is Verdict.TAKE:
                batch.append(settled.sighting)
            elif verdict is not Verdict.LEAVE:
                self._put_off(settled, verdict, now_s)
        return batch

    def _judge(self, chunk: Sequence[Settled]) -> list[Verdict]:
        """Blocking."""
        return [judge(self.folder, settled) for settled in chunk]

    def _put_off(self, settled: Settled, verdict: Verdict, now_s: float) -> None:
        sighting = settled.sighting
        self._handled.pop(sighting.name, None)
        if verdict is Verdict.WAIT:
            self._settling.hold(sighting, now_s)
        elif verdict is Verdict.UNREADABLE:
            self._settling.postpone(settled, now_s, now_s + self._timing.absence_s)
        else:
            self._touched.add(sighting.name)

    def _sweep_due_s(self) -> float:
        """When all of the folder is to be looked at."""
        if self._swept_at_s is None:
            return 0.0
        timing = self._timing
        soon_s = max(timing.poll_s, self._sweep_cpu_s / timing.share)
        if self._is_gone:
            return self._swept_at_s + timing.absence_s
        if self._notices.tells_all and not self._wants_sweep:
            return self._swept_at_s + max(soon_s, timing.sweep_s)
        return self._swept_at_s + soon_s

    async def _note_gone(self, reason: FolderGone, now_s: float) -> None:
        """Nothing is concluded from it but that it is to be looked for."""
        if not self._is_gone:
            log.warning("folder_gone", folder=str(self.folder.root), reason=str(reason))
        self._is_gone, self._swept_at_s = True, now_s
        self._identity, self._has_chosen = None, False
        await self._notices.close()

    def _note_arrival(self, identity: tuple[int, int]) -> None:
        """What stands there may be anything: it is looked at as at a start."""
        if self._is_gone:
            log.info("folder_is_back", folder=str(self.folder.root))
        self._identity, self._is_gone, self._is_first = identity, False, True


def watch_folder(
    folder: Folder,
    is_known: Callable[[Sighting], bool],
    *,
    polling: bool | None = None,
    timing: Timing | None = None,
) -> FolderWatcher:
    """A watcher by what the system tells, or by looking where that is not enough.

    polling: True to look in any case, None to decide by what the folder stands on.
    """

    def choose(folder: Folder) -> Notices:
        remote = is_remote(folder.root)
        folder.has_inodes = not remote
        polls = remote if polling is None else polling
        return NoNotices() if polls else KernelNotices(folder.root)

    return FolderWatcher(folder, is_known, choose, timing=timing)
