"""Dialect C: a list of products in CSV becomes a request, its results come back beside it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiohttp import web

from imgsvc.api.addresses import absolute_url, base_url
from imgsvc.api.arrivals import DOCUMENTS
from imgsvc.api.bodies import read_body
from imgsvc.api.context import CONTEXT
from imgsvc.api.dialects.operations import find_unknown, refuse_unknown
from imgsvc.api.dialects.streamed_lists import answer_with_list
from imgsvc.api.documents import output_url
from imgsvc.api.forms import ListReceiver
from imgsvc.api.json_bodies import read_json_body
from imgsvc.api.pages import check_query
from imgsvc.api.product_lists import add_list
from imgsvc.api.spreadsheet import Cell, Table, rename_taken, send_table
from imgsvc.api.submissions import submit
from imgsvc.blobs.stage import StagedFile
from imgsvc.domain.cells import guard_cell
from imgsvc.domain.ids import is_id
from imgsvc.domain.image import Image, SourceKind
from imgsvc.domain.job import Job
from imgsvc.domain.product_list import TITLES, Column, ProductList, find_columns
from imgsvc.domain.states import ImageState, JobState
from imgsvc.domain.times import rfc3339
from imgsvc.domain.webhook import Webhook
from imgsvc.errors import (
    Fault,
    InvalidRequest,
    NotFound,
    NotReady,
    UnsupportedMediaType,
)
from imgsvc.intake.faults import pointer_to
from imgsvc.intake.filenames import parse_header
from imgsvc.intake.multipart import FilePart, read_multipart
from imgsvc.intake.product_list import stage_list
from imgsvc.intake.spec import WebhookSpec, parse_fields
from imgsvc.service.products import Product, iter_products

routes = web.RouteTableDef()

PRESET = "compress"
OUTPUT_TITLE = "Output Image Urls"
MAX_WEBHOOK_URL_CHARS = 255
MAX_WEBHOOK_BYTES = 64 << 10
_FORM_FIELDS = frozenset({"webhook_url"})
_PLACE = re.compile(r"[^,]+")

Columns = dict[Column, int]

_JOB_STATES = {
    JobState.PENDING: "PENDING",
    JobState.PROCESSING: "PROCESSING",
    JobState.COMPLETED: "COMPLETED",
    JobState.PARTIAL: "COMPLETED",
    JobState.FAILED: "FAILED",
    JobState.CANCELLED: "FAILED",
}

STATUSES = tuple(dict.fromkeys(_JOB_STATES.values()))
"""Of a request, and of its products."""


@routes.post("/api/upload")
@routes.post("/api/v1/upload")
async def upload(request: web.Request) -> web.Response:
    return await submit(request, source="csv", answer=_answer_upload, take_in=_take_in)


@routes.get("/api/status/{id}")
@routes.get("/api/v1/status/{id}")
async def get_status(request: web.Request) -> web.StreamResponse:
    """All products at once, written as they are read; a job deleted meanwhile breaks it off.

    The status comes last: products are newer than the job, and one may have begun since.
    """
    check_query(request.query)
    job = await request.app[CONTEXT].store.job(request.match_info["id"])
    columns = _columns_of(await _list_of(request, job))
    fields = {
        "request_id": job.id,
        "completion_percentage": job.progress,
        "created_at": rfc3339(job.created_at),
        "updated_at": rfc3339(job.finished_at or job.started_at or job.created_at),
    }

    closing = {"status": _JOB_STATES[job.state]}

    async def products() -> AsyncIterator[dict[str, Any]]:
        async for product in iter_products(request.app[CONTEXT].store, job):
            document = _product_document(request, columns, product)
            if closing["status"] == "PENDING" != document["status"]:
                closing["status"] = "PROCESSING"
            yield document

    return await answer_with_list(request, fields, "products", products(), closing)


@routes.get("/api/download/{id}")
@routes.get("/api/v1/download/{id}")
async def download(request: web.Request) -> web.StreamResponse:
    check_query(request.query)
    store = request.app[CONTEXT].store
    job = await store.job(request.match_info["id"])
    if not job.state.is_final:
        raise NotReady(f"The request is not finished: {job.progress:.1f} % are done.")
    list_ = await _list_of(request, job)
    table = Table(list_.delimiter, with_bom=list_.with_bom)
    return await send_table(request, f"{job.id}.csv", table, _results(request, job, list_))


@routes.post("/api/webhook")
@routes.post("/api/v1/webhook")
async def set_webhook(request: web.Request) -> web.Response:
    check_query(request.query)
    document = await read_json_body(request, MAX_WEBHOOK_BYTES)
    if not isinstance(document, dict):
        raise InvalidRequest("The body must be an object.")
    refuse_unknown(document, frozenset({"request_id", "webhook_url"}))
    for name in ("request_id", "webhook_url"):
        if not isinstance(document.get(name), str) or not document[name]:
            raise InvalidRequest.at(f"/{name}", "This field is required, and a string.")
    if not is_id(document["request_id"]):
        raise NotFound("There is no such job.")
    spec = _read_webhook(document)
    webhook = Webhook(spec.url, frozenset(spec.events), spec.secret, base_url(request))
    await request.app[CONTEXT].notifier.notify(document["request_id"], webhook)
    return web.json_response(
        {"request_id": document["request_id"], "webhook_url": document["webhook_url"]}
    )


async def _take_in(request: web.Request, receiver: ListReceiver) -> None:
    """The file waits for the fields, which may come after it."""
    check_query(request.query)
    if request.content_type != "multipart/form-data":
        raise UnsupportedMediaType("Send the CSV file as multipart/form-data.")
    file: StagedFile | None = None
    charset: str | None = None
    fields: dict[str, str] = {}
    chunks = read_body(request, receiver.limits.max_request_bytes)
    form = read_multipart(request.headers["Content-Type"], chunks, request[DOCUMENTS])
    async for part in form:
        if not isinstance(part, FilePart):
            if part.name in fields:
                raise InvalidRequest.at(pointer_to([part.name]), "Given twice.")
            fields[part.name] = part.text()
            continue
        if file is not None:
            raise InvalidRequest.at("/file", "One CSV file is one request.")
        file, sha256 = await stage_list(part.chunks, receiver.stage)
        charset = _charset_of(part)
        receiver.fingerprint.add("list", sha256, charset)
    if file is None:
        needed = "A CSV file is needed."
        faults = (Fault("/file", needed), *find_unknown(fields, _FORM_FIELDS))
        raise InvalidRequest(f"file: {needed}", faults)
    refuse_unknown(fields, _FORM_FIELDS)
    _check_length(fields.get("webhook_url", ""))
    await receiver.describe(parse_fields({"preset": PRESET, **fields}))
    await add_list(file, charset, receiver)


async def _answer_upload(job: Job) -> web.Response:
    return web.json_response({"request_id": job.id, "status": "PENDING"}, status=202)


def _charset_of(part: FilePart) -> str | None:
    _, parameters = parse_header((part.content_type or "").encode())
    return parameters.get("charset")


def _read_webhook(document: dict[str, str]) -> WebhookSpec:
    """Raises InvalidRequest."""
    url = document["webhook_url"]
    _check_length(url)
    webhook = parse_fields({"webhook_url": url}).webhook
    if webhook is None:
        raise InvalidRequest.at("/webhook_url", "This field is required.")
    return webhook


def _check_length(url: str) -> None:
    if len(url) > MAX_WEBHOOK_URL_CHARS:
        raise InvalidRequest.at("/webhook_url", f"At most {MAX_WEBHOOK_URL_CHARS} characters.")


async def _list_of(request: web.Request, job: Job) -> ProductList:
    """Of a job that came without one, the list that it would have come in."""
    list_ = await request.app[CONTEXT].store.product_list(job.id)
    return list_ or ProductList(tuple(TITLES.values()), ",", with_bom=False)


def _product_document(request: web.Request, columns: Columns, product: Product) -> dict[str, Any]:
    cells = _cells_of(columns, product)
    return {
        "serial_number": int(cells[Column.SERIAL]),
        "product_name": cells[Column.NAME],
        "status": _product_status(product.images),
        "input_image_urls": [image.url or "" for image in product.images],
        "output_image_urls": _output_urls(request, product),
    }


def _columns_of(list_: ProductList) -> Columns:
    return {column: place for column, (place,) in find_columns(list_.header).items()}


def _cells_of(columns: Columns, product: Product) -> dict[Column, str]:
    """What the three columns hold; of an image that came without them, what stands for them."""
    if product.cells is None:
        (image,) = product.images
        return {
            Column.SERIAL: str(image.index + 1),
            Column.NAME: image.name,
            Column.URLS: image.url or "",
        }
    return {column: product.cells[place].strip() for column, place in columns.items()}


def _product_status(images: Sequence[Image]) -> str:
    if any(image.state is ImageState.COMPLETED for image in images):
        return "COMPLETED"
    if all(image.state.is_final for image in images):
        return "FAILED"
    return "PROCESSING" if any(map(_has_begun, images)) else "PENDING"


def _has_begun(image: Image) -> bool:
    is_fetched = image.kind is SourceKind.URL and image.sha256 is not None
    return image.state is not ImageState.PENDING or image.attempts > 0 or is_fetched


def _output_urls(request: web.Request, product: Product) -> list[str]:
    """One for each input, empty where there is no file: positions tell which is of which."""
    return [
        absolute_url(request, output_url(image.job_id, image.index, image.outputs[0].variant))
        if image.outputs
        else ""
        for image in product.images
    ]


async def _results(
    request: web.Request, job: Job, list_: ProductList
) -> AsyncIterator[Sequence[Cell]]:
    """Raises NotFound when the job goes away meanwhile."""
    titles, columns = rename_taken(list_.header, [OUTPUT_TITLE]), _columns_of(list_)
    yield [*map(guard_cell, titles), OUTPUT_TITLE]
    async for product in iter_products(request.app[CONTEXT].store, job):
        cells = map(guard_cell, _row_of(columns, len(titles), product))
        yield [*cells, _output_cell(columns, product, _output_urls(request, product))]


def _output_cell(columns: Columns, product: Product, urls: Sequence[str]) -> str:
    """With an empty place wherever the input cell has one: positions match. A cell may be of a
    million commas, and is gone through no slower than its text is copied.
    """
    if product.cells is None:
        return ",".join(urls)
    rest = iter(urls)
    cell = "\n".join(product.cells[columns[Column.URLS]].split())  # no URL has white space
    places = cell.replace(",\n", ",").replace("\n,", ",").replace("\n", ",")
    return _PLACE.sub(lambda _: next(rest, ""), places)


def _row_of(columns: Columns, width: int, product: Product) -> Sequence[str]:
    """The cells as sent, or those that would have been."""
    if product.cells is not None:
        return product.cells
    cells = _cells_of(columns, product)
    by_place = {place: cells[column] for column, place in columns.items()}
    return [by_place.get(place, "") for place in range(width)]
