"""Dialect A: a form of files to `/upload` becomes a batch, its results have keys."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from imgsvc.api.addresses import absolute_url
from imgsvc.api.context import CONTEXT
from imgsvc.api.dialects.operations import OPERATION_FIELDS, describe_operation, refuse_unknown
from imgsvc.api.dialects.states import image_error, image_status, job_status
from imgsvc.api.dialects.streamed_lists import answer_with_images, answer_with_list
from imgsvc.api.forms import Receiver, receive_parts
from imgsvc.api.outputs import output_response
from imgsvc.api.pages import check_query
from imgsvc.api.submissions import submit
from imgsvc.domain.ids import created_ms
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.rendering import OutputFacts
from imgsvc.domain.states import ImageState
from imgsvc.domain.times import rfc3339
from imgsvc.errors import InvalidRequest, NotFound, UnsupportedMediaType
from imgsvc.intake.spec import parse_fields

routes = web.RouteTableDef()

FIELDS = OPERATION_FIELDS | {"preset"}
DEFAULT_SIZES = {"thumbnail": {"width": "200", "height": "200"}}
"""Of an operation without one: as the preset of that name."""


@routes.post("/upload")
async def upload(request: web.Request) -> web.Response:
    answer = partial(_answer_upload, request)
    return await submit(request, source="upload", answer=answer, take_in=_take_in)


@routes.get("/batch/{id}")
async def get_batch(request: web.Request) -> web.Response:
    check_query(request.query)
    job = await request.app[CONTEXT].store.job(request.match_info["id"])
    document = {
        "batch_id": job.id,
        "status": job_status(job),
        "created_at": rfc3339(job.created_at),
        "completed_at": rfc3339(job.finished_at),
        "total_images": job.total,
        "processed_images": job.finished_images,
        "progress": job.progress,
    }
    return web.json_response(document)


@routes.get("/batch/{id}/images")
async def get_images(request: web.Request) -> web.StreamResponse:
    check_query(request.query)
    job = await request.app[CONTEXT].store.job(request.match_info["id"])
    describe = partial(_image_document, request, job)
    return await answer_with_images(request, job, {"batch_id": job.id}, describe)


@routes.get("/status/{id}")
async def get_status(request: web.Request) -> web.StreamResponse:
    check_query(request.query)
    store = request.app[CONTEXT].store
    job = await store.job(request.match_info["id"])
    fields = {
        "task_id": job.id,
        "status": job_status(job),
        "error": await _find_error(request, job) if job_status(job) == "failed" else None,
        "created_at": rfc3339(job.created_at),
        "updated_at": rfc3339(job.finished_at or job.started_at or job.created_at),
    }
    images = store.iter_images(job.id)
    keys = (_key(image, output) async for image in images for output in image.outputs)
    return await answer_with_list(request, fields, "image_keys", keys)


@routes.get("/image/{key}")
async def get_image(request: web.Request) -> web.StreamResponse:
    check_query(request.query, "inline")
    context = request.app[CONTEXT]
    image_id, _, variant = request.match_info["key"].partition(".")
    image = await context.store.image_by_id(image_id)
    output = next((o for o in image.outputs if o.variant == variant), None)
    if output is None:
        raise NotFound("There is no image of that key.")
    return output_response(request, image, output)


async def _take_in(request: web.Request, receiver: Receiver) -> None:
    check_query(request.query)
    if request.content_type != "multipart/form-data":
        raise UnsupportedMediaType("Send the files as multipart/form-data.")
    fields = {k: v for k, v in (await receive_parts(request, receiver)).items() if v != ""}
    refuse_unknown(fields, FIELDS)
    asked = sorted(fields.keys() & OPERATION_FIELDS)
    if not asked:
        await receiver.describe(parse_fields(fields))
        return
    if "preset" in fields:
        raise InvalidRequest.at("/preset", f"not together with {asked[0]}")
    if fields.keys() & {"width", "height"}:
        fields.setdefault("operation", "thumbnail")
    if "operation" in fields:
        fields = DEFAULT_SIZES.get(fields["operation"], {}) | fields
    await describe_operation(receiver, fields, fields.get("operation", "converted"))


async def _answer_upload(request: web.Request, job: Job) -> web.Response:
    document = {"batch_id": job.id, "status": "pending", "total_images": job.total}
    if job.total == 1:
        document["task_id"] = job.id
    location = absolute_url(request, f"/batch/{job.id}")
    return web.json_response(document, status=202, headers={"Location": location})


async def _find_error(request: web.Request, job: Job) -> str | None:
    for state in (ImageState.FAILED, ImageState.CANCELLED):
        images, _ = await request.app[CONTEXT].store.images(job.id, state, limit=1)
        if images:
            return image_error(images[0])
    return None


def _image_document(request: web.Request, job: Job, image: Image) -> dict[str, Any]:
    is_completed = image.state is ImageState.COMPLETED
    created_at = max(created_ms(image.id), job.created_at)  # bytes arrive before there is a job
    return {
        "image_id": image.id,
        "image_name": image.name,
        "status": image_status(image),
        "error": image_error(image),
        "created_at": rfc3339(created_at),
        "processed_at": rfc3339(image.finished_at) if is_completed else None,
        "outputs": {
            output.variant: absolute_url(request, f"/image/{_key(image, output)}")
            for output in image.outputs
        },
    }


def _key(image: Image, output: OutputFacts) -> str:
    return f"{image.id}.{output.variant}"
