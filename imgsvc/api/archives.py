"""Many files as one ZIP, made while it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from aiohttp import web

from imgsvc.api.context import CONTEXT, Context
from imgsvc.api.files import CHUNK_BYTES
from imgsvc.api.outputs import disposition, output_file
from imgsvc.api.pages import check_query
from imgsvc.domain.job import Job
from imgsvc.domain.names import ResultNames
from imgsvc.domain.rendering import OutputFacts
from imgsvc.errors import NotFound
from imgsvc.files.zip_archive import ZipArchive
from imgsvc.recipes.model import load_recipe
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

routes = web.RouteTableDef()

ENTRIES_AT_ONCE = 1000


@routes.get("/api/v1/jobs/{id}/archive.zip")
async def get_archive(request: web.Request) -> web.StreamResponse:
    context = request.app[CONTEXT]
    job = await context.store.job(request.match_info["id"])
    check_query(request.query, "variant")
    archive = await _build_archive(context, job, request.query.get("variant"))
    return await stream_zip(request, archive, f"{job.id}.zip")


async def stream_zip(
    request: web.Request,
    archive: ZipArchive,
    name: str,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> web.StreamResponse:
    """The archive, called `name`, made while it is sent."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/zip",
            "Content-Disposition": disposition("attachment", name),
            "Content-Length": str(archive.size_bytes),
            **headers,
        }
    )
    await response.prepare(request)
    if request.method != "HEAD":
        chunks = iter(archive)
        while chunk := await asyncio.to_thread(_read_some, chunks):
            await response.write(chunk)
    await response.write_eof()
    return response


async def name_results(context: Context, job: Job) -> ResultNames:
    """What the outputs of a job are called in its ZIP, and where it is unpacked or downloaded."""
    variants = [(variant.name, variant.format) for variant in load_recipe(job.recipe).variants]
    inputs = await context.store.image_names(job.id)
    return await asyncio.to_thread(ResultNames, inputs, variants)


async def _build_archive(context: Context, job: Job, variant: str | None) -> ZipArchive:
    """A ZIP of the outputs finished so far; they are opened only as their turn comes.

    Raises NotFound for a variant that the recipe does not have, and for a job deleted
    meanwhile.
    """
    if variant not in {None, *(each.name for each in load_recipe(job.recipe).variants)}:
        raise NotFound("The recipe has no such variant.")
    names = await name_results(context, job)
    archive = ZipArchive()
    entries: list[tuple[Path, str]] = []
    async for image in context.store.iter_images(job.id):
        if image.index not in names:  # appended since
            break
        wanted = [output for output in image.outputs if variant in {None, output.variant}]
        try:
            entries += [
                (output_file(context, image, output), names.path(image.index, *_tail(output)))
                for output in wanted
            ]
        except KeyError:  # what the recipe does not have; report.csv shows it
            log.warning("archive_without_image", job_id=job.id, index=image.index)
        if len(entries) >= ENTRIES_AT_ONCE:
            await asyncio.to_thread(_add_entries, archive, entries)
            entries = []
    await asyncio.to_thread(_add_entries, archive, entries)
    return archive


def _tail(output: OutputFacts) -> tuple[str, str]:
    return output.variant, output.format


def _add_entries(archive: ZipArchive, entries: Iterable[tuple[Path, str]]) -> None:
    try:
        archive.add(entries)
    except FileNotFoundError as exc:
        raise NotFound(
            "Files of the job are not there any more; those that are can be fetched one by one, "
            "as `imgsvc download` does without --zip."
        ) from exc


def _read_some(chunks: Iterator[bytes]) -> bytes:
    """About CHUNK_BYTES of the archive; empty at its end."""
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        if len(gathered) >= CHUNK_BYTES:
            break
    return bytes(gathered)
