"""A backup: the database and all files as they stood together at one moment.

For that moment nothing is removed. The database is copied and every file that the copy names is
linked, which takes seconds whatever they weigh; then all goes on, and the links are read at
leisure. What is still being received belongs to no row, and is left out.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.errors import StorageFull
from imgsvc.files.zip_archive import ZipArchive
from imgsvc.store.copies import read_image_files, read_job_ids, read_watermark_files
from imgsvc.store.store import Store
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

DATABASE = "imgsvc.db"


@dataclass(frozen=True, slots=True)
class Backup:
    """archive: a ZIP that holds a whole data folder: unpacked, it is one. missing_files: how many
    it should hold and does not, because they were not there.
    """

    archive: ZipArchive
    missing_files: int


@asynccontextmanager
async def open_backup(
    store: Store, blobs: BlobStore, *, keep_inputs: bool
) -> AsyncIterator[Backup]:
    """It is read from links that are gone with the context. Raises StorageFull.

    keep_inputs: False when inputs of completed images are dropped.
    """
    with _naming_disk():
        folder = await blobs.make_backup_folder()
    try:
        with _naming_disk():
            async with blobs.removing_nothing():
                await store.copy_to(folder / DATABASE)
                missing_files = await asyncio.to_thread(_link_files, blobs, folder, keep_inputs)
        if missing_files:
            log.warning("backup_lacks_files", missing_files=missing_files)
        archive = await asyncio.to_thread(_build, folder)
        log.info("backup_begun", size_bytes=archive.size_bytes)
        yield Backup(archive, missing_files)
    finally:
        await blobs.remove_backup_folder(folder)


@contextmanager
def _naming_disk() -> Iterator[None]:
    """Whoever asked may have thought of the one to which the backup goes."""
    try:
        yield
    except StorageFull as exc:
        where = "A backup begins with a copy of the database, on the disk of the data folder."
        raise StorageFull(f"{exc.message} {where}") from exc


def _link_files(blobs: BlobStore, folder: Path, keep_inputs: bool) -> int:
    """Returns how many are missing."""
    links = blobs.link_folder(folder)
    missing = 0
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        for sha256 in read_watermark_files(connection):
            missing += not links.add_watermark(sha256)
        for job_id in read_job_ids(connection):
            links.add_job(job_id)
        for image in read_image_files(connection):
            job_id, image_id = image.job_id, image.image_id
            if image.input_sha256 is not None and not links.add_input(job_id, image_id):
                missing += keep_inputs or not image.is_completed
            for variant, format_, _ in image.outputs:
                missing += not links.add_output(job_id, image_id, image.claim, variant, format_)
    return missing


def _build(folder: Path) -> ZipArchive:
    archive = ZipArchive()
    archive.add_all_of(folder)
    return archive
