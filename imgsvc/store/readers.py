"""A few connections that only read, handed out one query at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from imgsvc.store.breakdown import Breakdown
from imgsvc.store.connections import open_reader
from imgsvc.store.examination import explain


class Readers:
    def __init__(self, breakdown: Breakdown) -> None:
        self._breakdown = breakdown
        self._pause = asyncio.Lock()
        self._go = asyncio.Event()
        self._go.set()
        self._connections: list[aiosqlite.Connection] = []
        self._free: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()

    async def open(self, path: Path, count: int) -> None:
        """Raises StartError."""
        try:
            for _ in range(count):
                connection = await open_reader(path)
                self._connections.append(connection)
                self._free.put_nowait(connection)
        except sqlite3.Error as exc:
            raise await asyncio.to_thread(explain, path, exc) from exc

    async def fetch(self, sql: str, parameters: Mapping[str, Any]) -> list[sqlite3.Row]:
        """All rows of a query, from whatever was committed when it begins.

        Raises ShuttingDown once the database has broken down.
        """
        await self._go.wait()
        self._breakdown.check()
        connection = await self._free.get()
        try:
            return list(await connection.execute_fetchall(sql, parameters))
        except sqlite3.Error as exc:
            raise await self._breakdown.translate(exc) from exc
        finally:
            self._free.put_nowait(connection)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Nothing is read meanwhile; begins when the queries that run have ended."""
        async with self._pause:
            held: list[aiosqlite.Connection] = []
            self._go.clear()  # who comes back at once would always be first
            try:
                for _ in self._connections:
                    held.append(await self._free.get())  # noqa: PERF401 - given back one by one
                yield
            finally:
                self._go.set()
                for connection in held:
                    self._free.put_nowait(connection)

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()
        self._connections.clear()
