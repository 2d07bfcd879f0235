"""A job as a spreadsheet: one row for every image and variant."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from io import StringIO

from aiohttp import web

from imgsvc.api.addresses import absolute_url
from imgsvc.api.context import CONTEXT
from imgsvc.api.documents import output_url, warning_text
from imgsvc.api.outputs import disposition
from imgsvc.domain.cells import guard_cell
from imgsvc.domain.image import Image
from imgsvc.domain.names import without_controls
from imgsvc.errors import NotFound
from imgsvc.recipes.model import load_recipe

routes = web.RouteTableDef()

COLUMNS = (
    "index",
    "name",
    "source",
    "source_url",
    "status",
    "error_code",
    "error_message",
    "warnings",
    "variant",
    "output_url",
    "format",
    "width",
    "height",
    "size_bytes",
    "sha256",
    "reused",
)
FLUSH_CHARS = 64 << 10

Cell = str | int | None


@routes.get("/api/v1/jobs/{id}/report.csv")
async def get_report(request: web.Request) -> web.StreamResponse:
    """Rows as they are now; a job that is deleted meanwhile breaks the answer off."""
    context = request.app[CONTEXT]
    job = await context.store.job(request.match_info["id"])
    variants = [variant.name for variant in load_recipe(job.recipe).variants]
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8; header=present",
            "Content-Disposition": disposition("attachment", f"{job.id}.csv"),
        }
    )
    await response.prepare(request)
    if request.method != "HEAD":
        table = _Table()
        table.add(COLUMNS)
        count = 0
        async for image in context.store.iter_images(job.id):
            for row in _rows(request, image, variants):
                table.add(row)
            count += 1
            if table.size_chars > FLUSH_CHARS:
                await response.write(table.take())
        if count < job.total:
            raise NotFound("The job was deleted.")
        await response.write(table.take())
    await response.write_eof()
    return response


def _rows(
    request: web.Request, image: Image, variants: Sequence[str]
) -> Iterator[tuple[Cell, ...]]:
    outputs = {output.variant: output for output in image.outputs}
    about_image = (
        image.index,
        guard_cell(without_controls(image.name)),
        image.kind,
        guard_cell(image.url or ""),
        image.state,
        image.error.code if image.error else "",
        guard_cell(image.error.message if image.error else ""),
        guard_cell("; ".join(warning_text(warning) for warning in image.warnings)),
    )
    for variant in variants:
        output = outputs.get(variant)
        if output is None:
            yield (*about_image, guard_cell(variant), *[""] * 7)
            continue
        yield (
            *about_image,
            guard_cell(variant),
            absolute_url(request, output_url(image.job_id, image.index, variant)),
            output.format,
            output.width,
            output.height,
            output.size_bytes,
            output.sha256,
            str(output.reused).lower(),
        )


class _Table:
    """CSV after RFC 4180, taken out in pieces."""

    def __init__(self) -> None:
        self._buffer = StringIO(newline="")
        self._writer = csv.writer(self._buffer)

    @property
    def size_chars(self) -> int:
        return self._buffer.tell()

    def add(self, row: Sequence[Cell]) -> None:
        self._writer.writerow(row)

    def take(self) -> bytes:
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text.encode()
