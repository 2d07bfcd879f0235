"""Word from the kernel that something in a folder has changed.

watchfiles follows links when it watches a whole tree, out of the folder and into whatever they
lead to. So every folder is named to it. It cannot be told of others later: those get a listener
of their own, and a few listeners of unequal size know them all.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, Protocol

from watchfiles import Change, watch

from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

P = ParamSpec("P")

STEP_MS = 200
"""How often it is looked whether something has come in: it costs a little each time."""

GATHER_MS = 400
MANY = 4096
"""After more changes at once some may have been lost: the kernel's queue has an end."""

SPREAD = 8
"""How much larger a listener must be for it to be left alone when there are new folders."""


class Notices(Protocol):
    """Names are relative to the folder, those of folders included, "" for all of it.

    tells_all: False where changes happen that nothing tells of.
    """

    tells_all: bool

    async def cover(self, folders: Collection[str]) -> Collection[str]:
        """Watch these folders, "" or with `/` at their ends; returns those that are new to it:
        what happened in them until now was not told.
        """

    async def wait(self, timeout_s: float) -> None:
        """Until there is something to take, or for so long."""

    def take(self) -> set[str]:
        """What may have changed since the last time."""

    async def close(self) -> None:
        """Watch nothing; `cover` begins anew."""


class NoNotices:
    """Nothing tells of changes: whoever wants to know them has to look."""

    tells_all = False

    async def cover(self, folders: Collection[str]) -> Collection[str]:
        return ()

    async def wait(self, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)

    def take(self) -> set[str]:
        return set()

    async def close(self) -> None:
        return


class KernelNotices:
    """By inotify, through watchfiles. root: an absolute path.

    It tells nothing any more where the system grants no more watches, and once it has met a name
    that is no UTF-8, which watchfiles cannot tell.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._covered: frozenset[str] = frozenset()
        self._changed: set[str] = set()
        self._news = asyncio.Event()
        self._ears: list[_Ear] = []
        self._is_exhausted = False
        self.tells_all = True

    async def cover(self, folders: Collection[str]) -> Collection[str]:
        wanted = frozenset(folders)
        added = wanted - self._covered
        if not added or self._is_exhausted:
            return ()
        old = self._find_replaced(added)
        names = wanted.intersection(added.union(*(ear.names for ear in old)))
        paths = await asyncio.to_thread(self._join_existing, names)
        ear = _Ear(names, paths, self._hear, self._give_up)
        self._covered = wanted
        # From here on `close` ends it, also where this is cancelled.
        self._ears.append(ear)
        try:
            await ear.start()
        finally:
            # The old ones listen until the new one does.
            await asyncio.to_thread(_stop_all, old)
            self._ears = [each for each in self._ears if each not in old]
        if ear.error is not None:
            await self._drop_ears()
            self._give_up(ear.error)
            return ()
        return added

    def _find_replaced(self, added: Collection[str]) -> list[_Ear]:
        """Those that may hear another folder under one of these names; and small ones, so that
        there are few of them, and yet no folder is named again and again.
        """
        replaced = [ear for ear in self._ears if not ear.names.isdisjoint(added)]
        count = len(frozenset(added).union(*(ear.names for ear in replaced)))
        for ear in sorted(self._ears, key=lambda ear: len(ear.names)):
            if ear not in replaced and len(ear.names) < SPREAD * count:
                replaced.append(ear)
                count += len(ear.names)
        return replaced

    async def wait(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    def take(self) -> set[str]:
        self._news.clear()
        changed, self._changed = self._changed, set()
        return changed

    async def close(self) -> None:
        self._covered = frozenset()
        await self._drop_ears()

    def _join_existing(self, folders: Iterable[str]) -> list[str]:
        paths = (os.path.join(self._root, folder) for folder in folders)  # noqa: PTH118
        return [path for path in paths if os.path.isdir(path)]  # noqa: PTH112

    async def _drop_ears(self) -> None:
        ears, self._ears = self._ears, []
        await asyncio.to_thread(_stop_all, ears)

    def _give_up(self, error: Exception) -> None:
        self._covered = frozenset()
        self._changed.add("")
        self._news.set()
        if isinstance(error, FileNotFoundError):  # gone while it began: a look will say so
            return
        self._is_exhausted, self.tells_all = True, False
        log.warning("folder_is_polled", folder=self._root, reason=str(error))

    def _hear(self, changes: Collection[tuple[Change, str]]) -> None:
        for change, path in changes:
            name = path.removeprefix(self._root).lstrip("/")
            self._changed.add(name)
            if change is not Change.modified and f"{name}/" in self._covered:
                self._uncover(f"{name}/")
        if len(changes) > MANY:
            self._changed.add("")
        self._news.set()

    def _uncover(self, above: str) -> None:
        """A folder came, or went: what is watched under its name may be another one."""
        self._covered = frozenset(name for name in self._covered if not name.startswith(above))


class _Ear:
    """A thread in which watchfiles listens to folders. `error`: why it could not.

    names: of the folders; paths: of those that are there.
    hear and fail are called on the event loop; fail only once it has listened.
    """

    def __init__(
        self,
        names: frozenset[str],
        paths: Collection[str],
        hear: Callable[[Collection[tuple[Change, str]]], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self.names = names
        self._paths = paths
        self._hear = hear
        self._fail = fail
        self._stop = threading.Event()
        self._begun = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="imgsvc-folder", daemon=True)
        self.error: Exception | None = None

    async def start(self) -> None:
        """Returns when it listens, or cannot."""
        self._thread.start()
        await self._begun.wait()

    def stop(self) -> None:
        """`join` waits until it has."""
        self._stop.set()

    def join(self) -> None:
        """Blocking, for a moment."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._listen()
        except (OSError, RuntimeError, UnicodeEncodeError) as exc:
            self._call(self._end, exc)

    def _listen(self) -> None:
        rounds = watch(
            *self._paths,
            watch_filter=None,
            debounce=GATHER_MS,
            step=STEP_MS,
            stop_event=self._stop,
            rust_timeout=STEP_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            force_polling=False,
            recursive=False,
            ignore_permission_denied=True,
        )
        listens = False
        for changes in rounds:
            if not listens:
                self._call(self._begun.set)
                listens = True
            if changes:
                self._call(self._hear, changes)

    def _end(self, error: Exception) -> None:
        if self._begun.is_set():
            self._fail(error)
        self.error = error
        self._begun.set()

    def _call(self, step: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """On the event loop, unless that has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(lambda: step(*args, **kwargs))


def _stop_all(ears: Collection[_Ear]) -> None:
    """Blocking, for a moment."""
    for ear in ears:
        ear.stop()
    for ear in ears:
        ear.join()
