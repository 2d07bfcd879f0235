"""Bringing a database to this program's schema: all steps in one transaction, or none."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import aiosqlite

from imgsvc.errors import StartError
from imgsvc.store.copying import copy_database
from imgsvc.store.examination import explain
from imgsvc.store.room import wants_room
from imgsvc.store.scripts import load_scripts

_STEP = re.compile(r"\A((?:--.*\n)*)BEGIN IMMEDIATE;\n(.*)\nCOMMIT;\s*\Z", re.DOTALL)


async def migrate(connection: aiosqlite.Connection, path: Path) -> None:
    """Bring a database that was examined to this program's version. Raises StartError when it
    cannot be.

    Before an older one is changed it is copied, as `previous_copy` says.
    """
    scripts = await asyncio.to_thread(load_scripts)
    version = await _read_version(connection)
    steps = {number: script for number, script in scripts.items() if number > version}
    if version and steps:
        await asyncio.to_thread(_set_aside, path, version)
    if steps:
        await _apply(connection, path, steps)


def previous_copy(path: Path, version: int) -> Path:
    """Where a database stands as it was before its schema was changed; only the last one is
    kept.
    """
    return path.with_name(f"{path.stem}.schema-{version}{path.suffix}")


def _set_aside(path: Path, version: int) -> None:
    """Blocking. Raises StartError."""
    target = previous_copy(path, version)
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    needed, disk = 2 * path.stat().st_size, shutil.disk_usage(path.parent)
    if disk.total and disk.free < needed:  # some file systems do not count
        raise StartError(
            f"The database {path} is to be brought to a newer schema and copied before that. "
            f"There must be {needed >> 20} MiB of free disk space for it, not {disk.free >> 20}."
        )
    try:
        copy_database(path, part)
        part.replace(target)
    except (sqlite3.Error, OSError) as exc:
        part.unlink(missing_ok=True)
        raise StartError(f"The database {path} cannot be copied: {exc}.") from exc
    for older in path.parent.glob(f"{path.stem}.schema-*{path.suffix}"):
        if older != target:
            older.unlink(missing_ok=True)


async def _read_version(connection: aiosqlite.Connection) -> int:
    rows = list(await connection.execute_fetchall("PRAGMA user_version"))
    return int(rows[0][0])


async def _apply(connection: aiosqlite.Connection, path: Path, steps: Mapping[int, str]) -> None:
    script = "\n".join(["BEGIN IMMEDIATE;", *map(_body, sorted(steps.items())), "COMMIT;"])
    try:
        await connection.executescript(script)
    except sqlite3.Error as exc:
        reached = await _read_version(connection)
        failed = min(number for number in steps if number > reached)
        if connection.in_transaction:
            await connection.execute_fetchall("ROLLBACK")
        if await asyncio.to_thread(wants_room, exc, path.parent):
            raise await asyncio.to_thread(explain, path, exc) from exc
        raise StartError(
            f"Migration {failed} of the database failed: {exc}. Nothing was changed: the version "
            "before can go on with it."
        ) from exc


def _body(step: tuple[int, str]) -> str:
    """A step without the transaction that it would have for itself. Raises ValueError."""
    number, script = step
    found = _STEP.match(script)
    if found is None:
        raise ValueError(f"migration {number} is not one transaction")
    return found[2]
