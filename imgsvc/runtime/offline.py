"""Administration of a data folder that no server has: under its lock, as one would."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.disk import naming_full_disk, sync_path
from imgsvc.errors import StartError
from imgsvc.files.zip_archive import ZipArchive
from imgsvc.service.backup import DATABASE, open_backup
from imgsvc.store.exports import Export
from imgsvc.store.lock import DataFolderLock, Holder
from imgsvc.store.store import Store


def is_data_folder(data_dir: Path) -> bool:
    """Raises StartError where this user may not look."""
    try:
        return (data_dir / DATABASE).exists()
    except PermissionError as exc:
        raise StartError(
            f"The data folder {data_dir} is closed to this user: {exc.strerror}. Go on as the one "
            "that made it, or choose another folder."
        ) from exc


def find_server(data_dir: Path) -> Holder | None:
    """The server that has the folder, None when none has. Raises StartError."""
    lock = DataFolderLock(data_dir / "lock")
    return lock.holder() if lock.is_held() else None


async def back_up(data_dir: Path, file: Path) -> int:
    """A folder that no server has, as one ZIP file, which appears whole or not at all.

    Returns its bytes. Raises StartError when a server has the folder, StorageFull, OSError.
    """
    async with _opened(data_dir) as store:
        blobs = BlobStore(data_dir)
        try:
            async with open_backup(store, blobs) as archive:
                return await asyncio.to_thread(_write, archive, file)
        finally:
            blobs.close()


async def read_exports(data_dir: Path) -> dict[str, Export]:
    """What runs without a server have put into their folder, by input name; nothing where
    there was none. Raises StartError when another process is at it, or it is another user's.
    """
    if not is_data_folder(data_dir):
        return {}
    async with _opened(data_dir) as store:
        return await store.exports()


@asynccontextmanager
async def _opened(data_dir: Path) -> AsyncIterator[Store]:
    lock = DataFolderLock(data_dir / "lock")
    await asyncio.to_thread(lock.acquire)
    try:
        store = await Store.open(data_dir / DATABASE)
        try:
            yield store
        finally:
            await store.close()
    finally:
        lock.release()


def _write(archive: ZipArchive, file: Path) -> int:
    part = file.with_name(f".{file.name}.part")
    try:
        with naming_full_disk(), part.open("wb") as out:
            for chunk in archive:
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
            size_bytes = out.tell()
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    sync_path(file.parent)
    return size_bytes
