"""Reads of what was taken of watched folders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

from imgsvc.domain.image import Image
from imgsvc.domain.watched import WatchedFile
from imgsvc.store.folder_files import file_from_row, quote_name
from imgsvc.store.readers import Readers
from imgsvc.store.rows import dump_json, images_from_rows
from imgsvc.store.sql import FOLDERS

_PAGE = 1000

ImageKey = tuple[str, int]
"""A job's id and an image's index."""


class FolderLookups:
    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def files_by_name(self, folder: str, names: Collection[str]) -> dict[str, WatchedFile]:
        """Those of the files that were taken before."""
        parameters = {
            "folder": quote_name(folder),
            "names": dump_json([quote_name(name) for name in names]),
        }
        rows = await self._readers.fetch(FOLDERS["files_by_name"], parameters)
        return {file.name: file for file in map(file_from_row, rows)}

    async def iter_files(self, folder: str) -> AsyncIterator[list[WatchedFile]]:
        """All files that were ever taken, in batches."""
        parameters = {"folder": quote_name(folder), "after": "", "limit": _PAGE}
        while rows := await self._readers.fetch(FOLDERS["files_of_folder"], parameters):
            yield [file_from_row(row) for row in rows]
            parameters["after"] = rows[-1]["name"]

    async def files_by_image(
        self, folder: str, keys: Collection[ImageKey]
    ) -> dict[ImageKey, WatchedFile]:
        """What images were made of; those of which a newer content was taken are left out."""
        parameters = {"folder": quote_name(folder), "keys": dump_json(list(keys))}
        rows = await self._readers.fetch(FOLDERS["files_by_image"], parameters)
        return {(file.job_id, file.index): file for file in map(file_from_row, rows)}

    async def images_by_key(self, keys: Collection[ImageKey]) -> dict[ImageKey, Image]:
        """Those that there are."""
        rows = await self._readers.fetch(FOLDERS["images_by_key"], {"keys": dump_json(list(keys))})
        return {(image.job_id, image.index): image for image in await images_from_rows(rows)}

    async def taken_files(
        self, folder: str, after: ImageKey = ("", -1), limit: int = _PAGE
    ) -> list[ImageKey]:
        """Images of which it is not known yet what became of them, in order."""
        parameters = {
            "folder": quote_name(folder),
            "after_job": after[0],
            "after_idx": after[1],
            "limit": limit,
        }
        rows = await self._readers.fetch(FOLDERS["taken_files"], parameters)
        return [(row["job_id"], row["idx"]) for row in rows]

    async def taken_files_of_job(self, folder: str, job_id: str) -> list[ImageKey]:
        """The same of one job."""
        parameters = {"folder": quote_name(folder), "job_id": job_id}
        rows = await self._readers.fetch(FOLDERS["taken_files_of_job"], parameters)
        return [(job_id, row["idx"]) for row in rows]

    async def failed_files(self, folder: str) -> list[WatchedFile]:
        """What could not be made, by name."""
        rows = await self._readers.fetch(FOLDERS["failed_files"], {"folder": quote_name(folder)})
        return [file_from_row(row) for row in rows]

    async def out_token(self, path: str) -> str | None:
        """What stands in an output folder of this server; None where nothing does yet."""
        rows = await self._readers.fetch(FOLDERS["out_token"], {"path": quote_name(path)})
        return rows[0]["token"] if rows else None
