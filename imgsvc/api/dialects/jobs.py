"""Dialect D: one image is one job, `/jobs`, with an operation instead of a recipe."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from aiohttp import web

from imgsvc.api.addresses import absolute_url
from imgsvc.api.context import CONTEXT
from imgsvc.api.dialects.operations import (
    MODES,
    OPERATION_FIELDS,
    describe_operation,
    read_operation,
    refuse_unknown,
)
from imgsvc.api.dialects.states import image_error
from imgsvc.api.files import FileAnswer
from imgsvc.api.forms import Receiver, receive_document, receive_parts
from imgsvc.api.outputs import disposition, output_response
from imgsvc.api.pages import check_query
from imgsvc.api.submissions import submit
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.domain.states import ImageState
from imgsvc.domain.times import rfc3339
from imgsvc.errors import (
    InvalidRequest,
    NotFound,
    NotReady,
    UnsupportedMediaType,
)
from imgsvc.recipes.model import Variant, load_recipe

routes = web.RouteTableDef()


@routes.post("/jobs")
async def submit_job(request: web.Request) -> web.Response:
    answer = partial(_answer_submit, request)
    return await submit(request, source="jobs", answer=answer, take_in=_take_in)


@routes.get("/jobs/{id}")
async def get_job(request: web.Request) -> web.Response:
    check_query(request.query)
    store = request.app[CONTEXT].store
    job = await store.job(request.match_info["id"])
    images, _ = await store.images(job.id, limit=1)
    return web.json_response(_document(request, job, images[0] if images else None))


@routes.get("/jobs/{id}/input")
async def get_input(request: web.Request) -> web.StreamResponse:
    """What was sent, byte for byte; it is nobody's to interpret."""
    check_query(request.query)
    context = request.app[CONTEXT]
    image = await context.store.image(request.match_info["id"], 0)
    if not _has_input(request, image):
        raise NotFound("The input is not kept.")
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": disposition("attachment", image.name),
        "X-Content-Type-Options": "nosniff",
    }
    return FileAnswer(context.blobs.input_path(image.job_id, image.id), headers)


@routes.get("/jobs/{id}/download")
async def download(request: web.Request) -> web.StreamResponse:
    """The file; NotReady before there is one, and when there will be none."""
    check_query(request.query, "inline")
    context = request.app[CONTEXT]
    job = await context.store.job(request.match_info["id"])
    images, _ = await context.store.images(job.id, limit=1)
    image = images[0] if images else None
    if image is None or not image.outputs:
        raise NotReady(f"There is no file: the job's status is {job.state}.")
    output = image.outputs[0]
    return output_response(request, image, output)


async def _take_in(request: web.Request, receiver: Receiver) -> None:
    check_query(request.query)
    if request.content_type == "multipart/form-data":
        counter = _OneImage(receiver)
        fields = {k: v for k, v in (await receive_parts(request, counter)).items() if v != ""}
        counter.check_there()
        refuse_unknown(fields, OPERATION_FIELDS)
        await describe_operation(receiver, fields, read_operation(fields))
    elif request.content_type == "application/json":
        await _take_in_document(request, receiver)
    else:
        raise UnsupportedMediaType("Send multipart/form-data or application/json.")


async def _take_in_document(request: web.Request, receiver: Receiver) -> None:
    body = await receive_document(request, receiver, ("image_data",))
    if not isinstance(body.document, dict):
        raise InvalidRequest("The body must be an object.")
    fields: dict[str, Any] = body.document
    refuse_unknown(fields, OPERATION_FIELDS | {"image_data"})
    image = body.images.get(str(fields.pop("image_data", None)))
    if image is None:
        raise InvalidRequest.at("/image_data", "the image in base64 is needed")
    await describe_operation(receiver, fields, read_operation(fields))
    await receiver.add(replace(image, name=None))


class _OneImage:
    """A receiver that takes one image and no more."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._count = 0
        self.limits = receiver.limits
        self.stage = receiver.stage
        self.fingerprint = receiver.fingerprint
        self.describe = receiver.describe
        self.add = receiver.add

    def check_room(self) -> None:
        self._receiver.check_room()
        self._count += 1
        if self._count > 1:
            raise InvalidRequest.at("/image_data", "one image is one job")

    def check_there(self) -> None:
        if not self._count:
            raise InvalidRequest.at("/image_data", "a file is needed")


async def _answer_submit(request: web.Request, job: Job) -> web.Response:
    document = {"job_id": job.id, "status": "pending", "message": "The image was accepted."}
    location = absolute_url(request, f"/jobs/{job.id}")
    return web.json_response(document, status=202, headers={"Location": location})


def _document(request: web.Request, job: Job, image: Image | None) -> dict[str, Any]:
    """Any job, as one of its first image and first variant."""
    variant = load_recipe(job.recipe).variants[0]
    output = image.outputs[0] if image and image.outputs else None
    has_input = image is not None and _has_input(request, image)
    return {
        "id": job.id,
        "status": job.state,
        "input_path": absolute_url(request, f"/jobs/{job.id}/input") if has_input else None,
        "output_path": absolute_url(request, f"/jobs/{job.id}/download") if output else None,
        "operation": _operation(variant),
        "width": variant.width,
        "height": variant.height,
        "output_format": output.format if output else _named_format(variant),
        "error": image_error(image) if image else None,
        "created_at": rfc3339(job.created_at),
        "updated_at": rfc3339(job.finished_at or job.started_at or job.created_at),
    }


def _operation(variant: Variant) -> str:
    by_mode = {mode: operation for operation, mode in MODES.items()}
    return by_mode.get(variant.mode, "thumbnail")


def _named_format(variant: Variant) -> str | None:
    return None if variant.format == "same" else variant.format


def _has_input(request: web.Request, image: Image) -> bool:
    is_kept = request.app[CONTEXT].settings.storage.keep_inputs
    return image.sha256 is not None and (is_kept or image.state is not ImageState.COMPLETED)
