"""The one writer: operations are committed in groups, and answered after the commit.

An operation is an async function of a Transaction that runs a few statements. A group is
what has gathered in the queue. When one operation of a group fails, the group is rolled
back and its operations are run again one by one, so that only the guilty one fails; an
operation may therefore run twice and must not consume its arguments.

An operation that comes alone is committed at once. Only when the writer is busy (more
operations came while it committed, or the last group had several) does it linger for
more, as long as more keep coming and for `linger_s` at most: a commit costs about as much
for one operation as for ten, but a caller that works alone should never wait for others.

While another program has the database locked, the writer waits. When the database or its
disk is damaged, everything that waits is refused, and nothing is written any more.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from time import perf_counter
from typing import Any, Concatenate, ParamSpec, TypeVar

import aiosqlite

from imgsvc.domain.image import Image
from imgsvc.domain.job import JobChange
from imgsvc.errors import ShuttingDown
from imgsvc.store.breakdown import Breakdown
from imgsvc.store.connections import is_busy
from imgsvc.store.database_files import DatabaseFiles
from imgsvc.store.rows import images_from_rows
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")

Parameters = Mapping[str, Any]
Subscriber = Callable[[Sequence[JobChange]], None]

LINGER_S = 0.005
QUIET_S = 0.001
"""Lingering ends early when nothing new came for this long."""

MAX_GROUP = 256

_BEGIN = "BEGIN IMMEDIATE; UPDATE commits SET number = number + 1;"
"""In one call: each is a hop to a thread."""

LOCKED_S = 0.05
"""How often another program's lock is tried."""

LOCKED_NOTE_S = 5.0
"""How often it is told of."""


@dataclass(slots=True)
class Effort:
    """What was written since the start. operations: in all commits together. seconds: that they
    took, what they waited for another program's lock included.
    """

    commits: int = 0
    operations: int = 0
    seconds: float = 0.0


class Transaction:
    """What one operation may do: run statements, and say what they changed.

    thread: for what takes longer; see Writer.
    """

    def __init__(self, connection: aiosqlite.Connection, thread: Executor | None = None) -> None:
        self._connection = connection
        self._thread = thread
        self.changes: list[JobChange] = []

    async def fetch(self, sql: str, parameters: Parameters) -> list[sqlite3.Row]:
        """Run a statement and return its rows."""
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def run_many(self, sql: str, parameters: Iterable[Parameters]) -> None:
        """Run a statement once for each of the parameter sets."""
        await self._connection.executemany(sql, parameters)

    async def fetch_images(self, sql: str, parameters: Parameters) -> list[Image]:
        """Images in the order of the rows of a statement."""
        return await images_from_rows(await self.fetch(sql, parameters), self._thread)

    async def compute(self, function: Callable[..., T], *arguments: object) -> T:
        """What is too much for the event loop, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


class _Pending:
    """What waits for its commit, and its caller's future: an operation on many, and one of them."""

    __slots__ = ("future", "item", "operation", "result")

    def __init__(
        self,
        operation: Callable[[Transaction, Sequence[Any]], Awaitable[Sequence[Any]]],
        item: Any,
        future: asyncio.Future[Any],
    ) -> None:
        self.operation = operation
        self.item = item
        self.future = future
        self.result: Any = None

    def answer(self) -> None:
        # A caller that has gone away has cancelled its future; the commit stands.
        if not self.future.done():
            self.future.set_result(self.result)

    def fail(self, exc: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(exc)


class Writer:
    """Owns the writing connection. `run()` is its loop; `close()` ends it.

    thread: nobody else's, because whoever waits for it keeps all writes waiting; None for
    asyncio's own, whose other work may hang with a share.
    """

    def __init__(
        self,
        connection: aiosqlite.Connection,
        *,
        breakdown: Breakdown | None = None,
        files: DatabaseFiles | None = None,
        thread: Executor | None = None,
        linger_s: float = LINGER_S,
        quiet_s: float = QUIET_S,
    ) -> None:
        self._connection = connection
        self._breakdown = breakdown or Breakdown()
        self._files = files
        self._thread = thread
        self._turn = asyncio.Lock()
        self._linger_s = linger_s
        self._quiet_s = quiet_s
        self._queue: deque[_Pending] = deque()
        self._arrival = asyncio.Event()
        self._subscribers: list[Subscriber] = []
        self._closing = False
        self._busy = False
        self.effort = Effort()

    @property
    def commits(self) -> int:
        """Since the start."""
        return self.effort.commits

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call `callback` with the changes of every commit, in order and before the callers
        hear of it; it must not block. Returns a function that ends this.
        """
        self._subscribers.append(callback)
        return partial(self._subscribers.remove, callback)

    async def apply(
        self,
        operation: Callable[Concatenate[Transaction, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run the operation in a transaction; returns, or raises, after it is committed.

        A caller that is cancelled before its operation has begun withdraws it; later, the
        operation is carried out all the same. Raises ShuttingDown once closed, or broken down.
        """

        async def alone(tx: Transaction, _: Sequence[None]) -> list[T]:
            return [await operation(tx, *args, **kwargs)]

        return await self.apply_each(alone, None)

    async def apply_each(
        self, operation: Callable[[Transaction, Sequence[V]], Awaitable[Sequence[T]]], item: V
    ) -> T:
        """The same for one item of an operation on many: it is run once for all that stand one
        behind the other in a group, and returns what comes of each.
        """
        if self._closing:
            raise ShuttingDown("The server is stopping")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append(_Pending(operation, item, future))
        self._arrival.set()
        return await future

    async def run(self) -> None:
        """Commit what comes until closed; what is queued by then is still committed."""
        while self._queue or not self._closing:
            self._arrival.clear()
            if not self._queue:
                await self._arrival.wait()
                continue
            if self._busy:
                await self._linger()
            await self.run_once()

    async def run_once(self) -> None:
        """Commit one group of what is queued now."""
        group: list[_Pending] = []
        while self._queue and len(group) < MAX_GROUP:
            pending = self._queue.popleft()
            if not pending.future.done():
                group.append(pending)
        if group:
            async with self._turn:
                await self._commit(group)
        self._busy = len(group) > 1 or bool(self._queue)

    async def checkpoint(self) -> bool:
        """Move what the log holds into the database, and cut the log to nothing; False when a
        reader of another program, or a backup, needs it still. Raises as a write does.
        """
        async with self._turn:
            self._breakdown.check()
            try:
                rows = await self._connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as exc:
                if is_busy(exc):
                    return False
                raise await self._breakdown.translate(exc) from exc
        return not next(iter(rows))[0]

    def close(self) -> None:
        """Take no more operations; `run()` returns when the queued ones are done."""
        self._closing = True
        self._arrival.set()

    async def _linger(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._linger_s
        gathered = 0
        while gathered < len(self._queue) < MAX_GROUP and not self._closing:
            gathered = len(self._queue)
            if loop.time() >= deadline:
                return
            await asyncio.sleep(self._quiet_s)

    async def _commit(self, group: Sequence[_Pending]) -> None:
        try:
            changes = await self._transact(group)
        except Exception as exc:  # noqa: BLE001 - it is the caller's, and goes there
            if len(group) == 1:
                group[0].fail(exc)
                return
            for pending in group:
                await self._commit([pending])
            return
        if changes:
            self._publish(changes)
        for pending in group:
            pending.answer()

    async def _transact(self, group: Sequence[_Pending]) -> list[JobChange]:
        changes: list[JobChange] = []
        self._breakdown.check()
        began_s = perf_counter()
        try:
            await self._begin()
            for operation, run in groupby(group, attrgetter("operation")):
                together = list(run)
                tx = Transaction(self._connection, self._thread)
                results = await operation(tx, [pending.item for pending in together])
                for pending, result in zip(together, results, strict=True):
                    pending.result = result
                changes += tx.changes
            await self._connection.execute_fetchall("COMMIT")
        except sqlite3.Error as exc:
            await self._roll_back()
            raise await self._breakdown.translate(exc) from exc
        except BaseException:
            await self._roll_back()
            raise
        self.effort.commits += 1
        self.effort.operations += len(group)
        self.effort.seconds += perf_counter() - began_s
        if not await self.look():
            self._breakdown.check()
        return changes

    async def look(self) -> bool:
        """Whether the files are in their place; if not, that is the database's breakdown: what is
        committed would be gone with the process.
        """
        if self._files is None:
            return True
        loop = asyncio.get_running_loop()
        fault = await loop.run_in_executor(self._thread, self._files.look, self.commits)
        if fault is not None:
            self._breakdown.note(*fault)
        return fault is None

    async def _begin(self) -> None:
        """As soon as no other program has the database locked. Raises ShuttingDown when this one
        stops before that.
        """
        clock = asyncio.get_running_loop().time
        note_at_s = clock() + LOCKED_S
        while True:
            try:
                await self._connection.executescript(_BEGIN)
            except sqlite3.Error as exc:
                if not is_busy(exc):
                    raise
                if self._closing:
                    raise ShuttingDown("The database is locked by another program") from exc
            else:
                return
            if clock() >= note_at_s:
                log.error("database_locked", reason="another program has locked it: writes wait")
                note_at_s = clock() + LOCKED_NOTE_S
            await asyncio.sleep(LOCKED_S)

    async def _roll_back(self) -> None:
        # After a full disk SQLite may have rolled back by itself.
        if not self._connection.in_transaction:
            return
        try:
            await self._connection.execute_fetchall("ROLLBACK")
        except sqlite3.Error as exc:  # whatever stands in the transaction must never be committed
            self._breakdown.note(f"a transaction could not be rolled back: {exc}")

    def _publish(self, changes: Sequence[JobChange]) -> None:
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(changes)
            except Exception:
                # The commit stands whatever a listener makes of it, and so do its callers.
                log.exception("subscriber_failed")
