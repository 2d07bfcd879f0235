"""Dialect B: a JSON document of images to `/api/v1/batch`, followed over a WebSocket."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from imgsvc.api.addresses import absolute_url
from imgsvc.api.context import CONTEXT
from imgsvc.api.dialects.batch_messages import batch_numbers, image_document, tell_batch
from imgsvc.api.dialects.streamed_lists import answer_with_images
from imgsvc.api.forms import Receiver, add_images, receive_document
from imgsvc.api.pages import check_query
from imgsvc.api.submissions import submit
from imgsvc.api.websockets import serve_websocket, wants_websocket
from imgsvc.config import LimitSettings
from imgsvc.domain.job import Job
from imgsvc.domain.times import rfc3339
from imgsvc.errors import NotAcceptable, TooManyImages, UnsupportedMediaType
from imgsvc.intake.batch_spec import BATCH_IMAGES, parse_batch
from imgsvc.intake.spec import JobSpec

routes = web.RouteTableDef()

MAX_IMAGES = 100
MAX_IMAGE_BYTES = 10 << 20
MAX_JOBS = 500


@routes.post("/api/v1/batch")
async def submit_batch(request: web.Request) -> web.Response:
    answer = partial(_answer_submit, request)
    return await submit(request, source="batch", answer=answer, take_in=_take_in)


@routes.get("/api/v1/batch")
async def list_batches(request: web.Request) -> web.Response:
    """Newest first, without their images; older ones are listed by the native API alone."""
    check_query(request.query)
    jobs, _ = await request.app[CONTEXT].store.jobs(limit=MAX_JOBS)
    return web.json_response({"jobs": [_document(job) for job in jobs]})


@routes.get("/api/v1/batch/{id}")
async def get_batch(request: web.Request) -> web.StreamResponse:
    check_query(request.query)
    job = await request.app[CONTEXT].store.job(request.match_info["id"])
    describe = partial(image_document, request)
    return await answer_with_images(request, job, _document(job), describe)


@routes.get("/api/v1/batch/{id}/ws")
async def follow_batch(request: web.Request) -> web.StreamResponse:
    check_query(request.query)
    context = request.app[CONTEXT]
    job = await context.store.job(request.match_info["id"])
    if not wants_websocket(request):
        raise NotAcceptable("Progress comes as a WebSocket here.")
    describe = partial(image_document, request)
    return await serve_websocket(request, tell_batch(context, job.id, describe))


async def _take_in(request: web.Request, receiver: Receiver) -> None:
    check_query(request.query)
    if request.content_type != "application/json":
        raise UnsupportedMediaType("Send the images as application/json.")
    limits = narrow_limits(receiver.limits)
    body = await receive_document(request, receiver, BATCH_IMAGES, limits)
    spec = parse_batch(body.document)
    if len(spec.images) > limits.max_images_per_job:
        raise TooManyImages(f"A batch takes at most {limits.max_images_per_job} images.")
    await receiver.describe(JobSpec())
    await add_images(spec.images, body, receiver, max_url_bytes=limits.max_image_bytes)


def narrow_limits(limits: LimitSettings) -> LimitSettings:
    """Those of the design, where the server's own are wider."""
    narrower = {
        "max_images_per_job": min(limits.max_images_per_job, MAX_IMAGES),
        "max_image_bytes": min(limits.max_image_bytes, MAX_IMAGE_BYTES),
    }
    return limits.model_copy(update=narrower)


async def _answer_submit(request: web.Request, job: Job) -> web.Response:
    images = "image was" if job.total == 1 else "images were"
    document = {
        "job_id": job.id,
        "status": "pending",
        "created_at": rfc3339(job.created_at),
        "message": f"{job.total} {images} accepted.",
    }
    location = absolute_url(request, f"/api/v1/batch/{job.id}")
    return web.json_response(document, status=202, headers={"Location": location})


def _document(job: Job) -> dict[str, Any]:
    return {
        **batch_numbers(job),
        "created_at": rfc3339(job.created_at),
        "updated_at": rfc3339(job.finished_at or job.started_at or job.created_at),
    }
