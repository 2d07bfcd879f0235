"""Finished files: one by one, or all in a ZIP."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from aiohttp import web
from zipstream import ZIP_STORED, ZipStream

from imgsvc.api.context import CONTEXT, Context
from imgsvc.api.files import CHUNK_BYTES, FileAnswer
from imgsvc.api.pages import check_query
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.names import ResultNames
from imgsvc.domain.rendering import EXTENSIONS, MEDIA_TYPES, OutputFacts
from imgsvc.errors import NotFound
from imgsvc.recipes.model import load_recipe

routes = web.RouteTableDef()

MAX_INDEX_DIGITS = 9
ENTRIES_AT_ONCE = 1000


@routes.get("/api/v1/jobs/{id}/images/{index:\\d+}/outputs/{variant}")
async def get_output(request: web.Request) -> web.StreamResponse:
    context = request.app[CONTEXT]
    image = await find_image(context, request)
    output = next((o for o in image.outputs if o.variant == request.match_info["variant"]), None)
    if output is None:
        raise NotFound("The image has no such output.")
    return output_response(request, image, output)


def output_file(context: Context, image: Image, output: OutputFacts) -> Path:
    return context.blobs.output_path(
        image.job_id, image.id, image.claim, output.variant, output.format
    )


def output_response(request: web.Request, image: Image, output: OutputFacts) -> web.StreamResponse:
    """The file, with conditional requests and ranges by aiohttp, and what we know of it."""
    inline = request.query.get("inline") == "1"
    name = f"{PurePosixPath(image.name).stem}-{output.variant}.{EXTENSIONS[output.format]}"
    digest = base64.b64encode(bytes.fromhex(output.sha256)).decode()
    headers = {
        "Content-Type": MEDIA_TYPES[output.format],
        "Content-Disposition": disposition("inline" if inline else "attachment", name),
        "Repr-Digest": f"sha-256=:{digest}:",
        "Cache-Control": "private, max-age=0, must-revalidate",
        "X-Content-Type-Options": "nosniff",
    }
    path = output_file(request.app[CONTEXT], image, output)
    return FileAnswer(path, headers)


def disposition(kind: str, name: str) -> str:
    """A Content-Disposition value after RFC 6266: an ASCII name, and the real one if it differs."""
    plain = re.sub(r"[^\x20-\x7e]|[\"\\%]", "_", name)
    value = f'{kind}; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe='')}"
    return value


async def find_image(context: Context, request: web.Request) -> Image:
    """Raises NotFound."""
    index = request.match_info["index"]
    if len(index) > MAX_INDEX_DIGITS:
        raise NotFound("The job has no such image.")
    return await context.store.image(request.match_info["id"], int(index))


@routes.get("/api/v1/jobs/{id}/archive.zip")
async def get_archive(request: web.Request) -> web.StreamResponse:
    context = request.app[CONTEXT]
    job = await context.store.job(request.match_info["id"])
    check_query(request.query, "variant")
    archive = await _build_archive(context, job, request.query.get("variant"))
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/zip",
            "Content-Disposition": disposition("attachment", f"{job.id}.zip"),
            "Content-Length": str(len(archive)),
        }
    )
    await response.prepare(request)
    if request.method != "HEAD":
        chunks = iter(archive)
        while chunk := await asyncio.to_thread(_read_some, chunks):
            await response.write(chunk)
    await response.write_eof()
    return response


async def _build_archive(context: Context, job: Job, variant: str | None) -> ZipStream:
    """A ZIP of the outputs finished so far; they are opened only as their turn comes.

    Raises NotFound for a variant that the recipe does not have, and for a job deleted
    meanwhile.
    """
    variants = [(v.name, v.format) for v in load_recipe(job.recipe).variants]
    if variant is not None and variant not in dict(variants):
        raise NotFound("The recipe has no such variant.")
    names = ResultNames(await context.store.image_names(job.id), variants)
    archive = ZipStream(compress_type=ZIP_STORED, sized=True)
    entries: list[tuple[Path, str]] = []
    async for image in context.store.iter_images(job.id):
        if image.index not in names:  # appended since
            break
        entries += [
            (output_file(context, image, output), names.path(image.index, *_tail(output)))
            for output in image.outputs
            if variant in {None, output.variant}
        ]
        if len(entries) >= ENTRIES_AT_ONCE:
            await asyncio.to_thread(_add_entries, archive, entries)
            entries = []
    await asyncio.to_thread(_add_entries, archive, entries)
    return archive


def _tail(output: OutputFacts) -> tuple[str, str]:
    return output.variant, output.format


def _add_entries(archive: ZipStream, entries: Iterable[tuple[Path, str]]) -> None:
    try:
        for path, name in entries:
            archive.add_path(path, name)
    except FileNotFoundError as exc:
        raise NotFound("The job was deleted.") from exc


def _read_some(chunks: Iterator[bytes]) -> bytes:
    """About CHUNK_BYTES of the archive; empty at its end."""
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        if len(gathered) >= CHUNK_BYTES:
            break
    return bytes(gathered)
