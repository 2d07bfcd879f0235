"""What was taken of watched folders, written in the commit that makes the job visible."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from imgsvc.domain.image import quote_path, unquote_path
from imgsvc.domain.watched import FileEnd, FileState, TakenFile, WatchedFile
from imgsvc.store.rows import dump_json
from imgsvc.store.sql import FOLDERS
from imgsvc.store.writer import Transaction


async def take_files(tx: Transaction, job_id: str, taken: Sequence[TakenFile]) -> None:
    """To be called in the transaction that makes the job visible."""
    await tx.run_many(
        FOLDERS["take_file"],
        [
            {
                "folder": quote_name(file.folder),
                "name": quote_name(file.name),
                "fingerprint": file.fingerprint,
                "sha256": file.sha256,
                "recipe": file.recipe,
                "job_id": job_id,
                "idx": file.index,
                "choice": file.choice,
            }
            for file in taken
        ],
    )


async def touch_files(tx: Transaction, touched: Sequence[TakenFile]) -> None:
    """Files that look otherwise and have the bytes that were taken before."""
    await tx.run_many(
        FOLDERS["touch_file"],
        [
            {
                "folder": quote_name(file.folder),
                "name": quote_name(file.name),
                "fingerprint": file.fingerprint,
                "sha256": file.sha256,
            }
            for file in touched
        ],
    )


async def end_files(tx: Transaction, ends: Sequence[FileEnd], now_ms: int) -> list[bool]:
    """False for a file of which a newer content was taken meanwhile."""
    ended = []
    for end in ends:
        code, message = end.error or (None, None)
        parameters = {
            "folder": quote_name(end.file.folder),
            "name": quote_name(end.file.name),
            "job_id": end.file.job_id,
            "idx": end.file.index,
            "state": end.state.value,
            "files": None if end.files is None else dump_json(end.files),
            "error_code": code,
            "error_message": message,
            "now_ms": now_ms,
        }
        ended.append(bool(await tx.fetch(FOLDERS["end_file"], parameters)))
    return ended


async def forget_failed_files(tx: Transaction, folder: str, names: Collection[str]) -> None:
    """Files that failed and are gone."""
    parameters = [{"folder": quote_name(folder), "name": quote_name(name)} for name in names]
    await tx.run_many(FOLDERS["forget_failed_file"], parameters)


async def forget_done_files(tx: Transaction, files: Sequence[WatchedFile]) -> list[str]:
    """The names of those that were forgotten."""
    forgotten = []
    for file in files:
        parameters = {
            "folder": quote_name(file.folder),
            "name": quote_name(file.name),
            "job_id": file.job_id,
            "idx": file.index,
        }
        if await tx.fetch(FOLDERS["forget_done_file"], parameters):
            forgotten.append(file.name)
    return forgotten


async def forget_unwatched_files(tx: Transaction, watched: Collection[str]) -> dict[str, int]:
    """How many, by folder, were taken of folders that nobody watches any more."""
    folders = dump_json([quote_name(folder) for folder in watched])
    rows = await tx.fetch(FOLDERS["forget_unwatched_files"], {"folders": folders})
    return Counter(unquote_path(row["folder"]) for row in rows)


async def save_out_token(tx: Transaction, path: str, token: str) -> None:
    """What is to stand in an output folder from now on."""
    await tx.fetch(FOLDERS["save_out_token"], {"path": quote_name(path), "token": token})


async def is_undelivered(tx: Transaction, job_id: str) -> bool:
    return bool(await tx.fetch(FOLDERS["is_undelivered"], {"job_id": job_id}))


def file_from_row(row: sqlite3.Row) -> WatchedFile:
    code, message = row["error_code"], row["error_message"]
    return WatchedFile(
        folder=unquote_path(row["folder"]),
        name=unquote_path(row["name"]),
        fingerprint=row["fingerprint"],
        sha256=row["sha256"],
        recipe=row["recipe"],
        state=FileState(row["state"]),
        job_id=row["job_id"],
        index=row["idx"],
        choice=row["choice"],
        files=tuple(json.loads(row["files"])),
        error=None if code is None else (code, message),
        ended_at=row["ended_at"],
    )


def quote_name(name: str) -> str:
    """A path or a name, which need not be UTF-8, as the text that is stored."""
    return quote_path(PurePosixPath(name))
