"""Administration of a data folder that no server has: under its lock, as one would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.domain.backup import SavedBackup
from imgsvc.errors import StartError
from imgsvc.files.places import PRIVATE, Places
from imgsvc.files.zip_archive import ZipArchive
from imgsvc.runtime.data_folder import holding
from imgsvc.service.backup import DATABASE, open_backup
from imgsvc.store.breakdown import Breakdown
from imgsvc.store.exports import Export
from imgsvc.store.lock import DataFolderLock, Holder
from imgsvc.store.lookups import Lookups
from imgsvc.store.readers import Readers
from imgsvc.store.store import Store


def is_data_folder(data_dir: Path) -> bool:
    """Whether it has a database, and that is not empty. Raises StartError where this user may not
    look.
    """
    try:
        return (data_dir / DATABASE).stat().st_size > 0
    except PermissionError as exc:
        raise StartError(
            f"The data folder {data_dir} is closed to this user: {exc.strerror}. Go on as the one "
            "that made it, or choose another folder."
        ) from exc
    except OSError:
        return False


def find_server(data_dir: Path) -> Holder | None:
    """The server that has the folder, None when none has. Raises StartError."""
    lock = DataFolderLock(data_dir / "lock")
    return lock.holder() if lock.is_held() else None


async def back_up(data_dir: Path, file: Path, *, keep_inputs: bool = True) -> SavedBackup:
    """A folder that no server has, as one ZIP file, which appears whole or not at all.

    keep_inputs: as for `open_backup`. Raises StartError when a server has the folder, StorageFull
    for the folder's own disk, OSError for the file's.
    """
    given_up = Event()
    async with _opened(data_dir) as store:
        blobs = BlobStore(data_dir)
        try:
            async with open_backup(store, blobs, keep_inputs=keep_inputs) as made:
                size_bytes = await asyncio.to_thread(_write, made.archive, file, given_up)
                return SavedBackup(size_bytes, made.missing_files)
        finally:
            given_up.set()  # a cancelled task leaves its thread running
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
async def looking_up(data_dir: Path) -> AsyncIterator[Lookups | None]:
    """Reads in a folder that a server may have; None where there is no database yet. What stands
    in the log stays there, and where there is none, none is left. Raises StartError.
    """
    if not is_data_folder(data_dir):
        yield None
        return
    path = data_dir / DATABASE
    readers = Readers(Breakdown())
    try:
        await readers.open(path, 1)
        yield Lookups(readers)
    finally:
        await readers.close()


@asynccontextmanager
async def _opened(data_dir: Path) -> AsyncIterator[Store]:
    async with holding(data_dir):
        store = await Store.open(data_dir / DATABASE)
        try:
            yield store
        finally:
            await store.close()


def _write(archive: ZipArchive, file: Path, given_up: Event) -> int:
    places = Places(file.parent, mode=PRIVATE)
    places.sweep(file.name)
    with places.writing(file.name) as out:
        for chunk in archive:
            if given_up.is_set():
                raise asyncio.CancelledError
            out.write(chunk)
        size_bytes = out.tell()
    places.sync()
    return size_bytes
