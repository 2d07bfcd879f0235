"""A few connections that only read, handed out one query at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiosqlite

from imgsvc.errors import StartError
from imgsvc.store.connections import open_reader, translate_error


class Readers:
    def __init__(self) -> None:
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
            raise StartError(f"The database {path} cannot be read: {exc}") from exc

    async def fetch(self, sql: str, parameters: Mapping[str, Any]) -> list[sqlite3.Row]:
        """All rows of a query, from whatever was committed when it begins."""
        connection = await self._free.get()
        try:
            return list(await connection.execute_fetchall(sql, parameters))
        except sqlite3.Error as exc:
            raise translate_error(exc) from exc
        finally:
            self._free.put_nowait(connection)

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()
        self._connections.clear()
