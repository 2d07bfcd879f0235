"""The schema: numbered files in migrations/, each applied in one transaction of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import aiosqlite

from imgsvc.errors import StartError

_FOLDER = Path(__file__).parent / "migrations"


async def migrate(connection: aiosqlite.Connection) -> None:
    """Bring the database to this program's version. Raises StartError when it cannot be."""
    scripts = await asyncio.to_thread(_load_scripts)
    newest = max(scripts)
    version = await _read_version(connection)
    if version > newest:
        raise StartError(
            f"The database was written by a newer imgsvc (its schema is {version}, this "
            f"program knows {newest}): install that version, or use another data folder"
        )
    for number in range(version + 1, newest + 1):
        await _apply(connection, number, scripts[number])


async def _read_version(connection: aiosqlite.Connection) -> int:
    try:
        rows = list(await connection.execute_fetchall("PRAGMA user_version"))
    except sqlite3.Error as exc:
        raise StartError(f"The database cannot be read: {exc}") from exc
    return int(rows[0][0])


async def _apply(connection: aiosqlite.Connection, number: int, script: str) -> None:
    try:
        await connection.executescript(script)
    except sqlite3.Error as exc:
        if connection.in_transaction:
            await connection.execute_fetchall("ROLLBACK")
        raise StartError(f"Migration {number} of the database failed: {exc}") from exc


def _load_scripts() -> dict[int, str]:
    return {
        int(path.name.partition("_")[0]): path.read_text(encoding="utf-8")
        for path in _FOLDER.glob("*.sql")
    }
