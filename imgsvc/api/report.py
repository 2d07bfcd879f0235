"""A job as a spreadsheet: one row for every image and variant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from aiohttp import web

from imgsvc.api.addresses import absolute_url
from imgsvc.api.archives import name_results
from imgsvc.api.context import CONTEXT
from imgsvc.api.documents import output_url, warning_text
from imgsvc.api.pages import check_query
from imgsvc.api.spreadsheet import Cell, Table, rename_taken, send_table
from imgsvc.domain.cells import guard_cell
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.names import ResultNames, without_controls
from imgsvc.domain.product_list import ProductList
from imgsvc.domain.rendering import OutputFacts
from imgsvc.recipes.model import load_recipe
from imgsvc.service.products import iter_products

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
    "output_name",
    "output_url",
    "format",
    "width",
    "height",
    "size_bytes",
    "sha256",
    "reused",
)


@routes.get("/api/v1/jobs/{id}/report.csv")
async def get_report(request: web.Request) -> web.StreamResponse:
    """Rows as they are now; a job that is deleted meanwhile breaks the answer off."""
    check_query(request.query)
    store = request.app[CONTEXT].store
    job = await store.job(request.match_info["id"])
    list_ = await store.product_list(job.id)
    table = Table(with_bom=list_ is not None and list_.with_bom)
    return await send_table(request, f"{job.id}.csv", table, _report(request, job, list_))


async def _report(
    request: web.Request, job: Job, list_: ProductList | None
) -> AsyncIterator[Sequence[Cell]]:
    """Raises NotFound when the job goes away meanwhile."""
    variants = [variant.name for variant in load_recipe(job.recipe).variants]
    titles = rename_taken(list_.header, COLUMNS) if list_ else []
    yield (*COLUMNS, *map(guard_cell, titles))
    names = await name_results(request.app[CONTEXT], job)
    async for product in iter_products(request.app[CONTEXT].store, job):
        cells = [""] * len(titles) if product.cells is None else map(guard_cell, product.cells)
        source = tuple(cells)
        for image in product.images:
            for row in _rows(request, image, variants, names):
                yield (*row, *source)


def _rows(
    request: web.Request, image: Image, variants: Sequence[str], names: ResultNames
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
    for variant in dict.fromkeys([*variants, *outputs]):
        output = outputs.get(variant)
        if output is None:
            yield (*about_image, guard_cell(variant), *[""] * 8)
            continue
        yield (
            *about_image,
            guard_cell(variant),
            guard_cell(_name(names, image.index, output)),
            absolute_url(request, output_url(image.job_id, image.index, variant)),
            output.format,
            output.width,
            output.height,
            output.size_bytes,
            output.sha256,
            str(output.reused).lower(),
        )


def _name(names: ResultNames, index: int, output: OutputFacts) -> str:
    """What it is called in the ZIP; empty for what is not in there."""
    try:
        return names.path(index, output.variant, output.format)
    except KeyError:  # appended since, or what the recipe does not have
        return ""
