"""Jobs and their images over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from imgsvc.api.context import CONTEXT
from imgsvc.api.documents import image_document, job_document, job_url
from imgsvc.api.json_bodies import read_json_body
from imgsvc.api.outputs import INDEX, find_image
from imgsvc.api.pages import PageSize, check_query, link_next, read_choice, read_limit
from imgsvc.api.preferences import preferred_wait_s
from imgsvc.api.product_lists import LIST_TYPE, receive_list
from imgsvc.api.submissions import append, submit
from imgsvc.domain.job import Job
from imgsvc.domain.states import ImageState, JobState
from imgsvc.errors import InvalidRequest
from imgsvc.intake.retry import parse_retry
from imgsvc.store.cursors import decode_id_cursor, decode_index_cursor, encode_cursor

routes = web.RouteTableDef()

JOBS_AT_ONCE = PageSize(most=500, default=50)
IMAGES_AT_ONCE = PageSize(most=1000, default=100)

MAX_OPTIONS_BYTES = 1 << 20
"""Of what a retry is told; it may be a list of thousands of indexes."""

_SOURCES = {"imgsvc-cli": "cli", "imgsvc-watch": "watch", "imgsvc-page": "page"}
"""Where a job comes from, by what the program that sends it calls itself."""


@routes.post("/api/v1/jobs")
async def submit_job(request: web.Request) -> web.Response:
    answer = partial(_answer_submit, request)
    if request.content_type == LIST_TYPE:
        return await submit(request, source="csv", answer=answer, take_in=receive_list)
    return await submit(
        request, source=_SOURCES.get(_name_of_sender(request), "api"), answer=answer
    )


def _name_of_sender(request: web.Request) -> str:
    """What the program calls itself in User-Agent; a page in a browser has no say in that, so
    ours calls itself in X-Requested-With.
    """
    headers = request.headers
    return headers.get("X-Requested-With", headers.get("User-Agent", "")).partition("/")[0]


async def _answer_submit(request: web.Request, job: Job) -> web.Response:
    headers = {"Location": job_url(job.id)}
    wait_s = preferred_wait_s(request)
    if wait_s is not None:
        job = await request.app[CONTEXT].waiter.wait(job.id, wait_s)
        if job.state.is_final:
            headers["Preference-Applied"] = f"wait={wait_s}"
            return _answer_job(request, job, headers=headers)
    return _answer_job(request, job, status=202, headers=headers)


@routes.get("/api/v1/jobs")
async def list_jobs(request: web.Request) -> web.Response:
    query = request.query
    check_query(query, "status", "label", "limit", "cursor")
    cursor = query.get("cursor")
    jobs, after = await request.app[CONTEXT].store.jobs(
        status=read_choice(query, "status", JobState),
        label=query.get("label") or None,
        limit=read_limit(query, JOBS_AT_ONCE),
        after=decode_id_cursor(cursor) if cursor else None,
    )
    return _page(request, [job_document(job, request.app[CONTEXT].paces) for job in jobs], after)


@routes.get("/api/v1/jobs/{id}")
async def get_job(request: web.Request) -> web.Response:
    check_query(request.query)
    job = await request.app[CONTEXT].store.job(request.match_info["id"])
    return _answer_job(request, job)


@routes.delete("/api/v1/jobs/{id}")
async def delete_job(request: web.Request) -> web.Response:
    check_query(request.query)
    await request.app[CONTEXT].deleter.delete(request.match_info["id"])
    return web.Response(status=204)


@routes.post("/api/v1/jobs/{id}/images")
async def append_images(request: web.Request) -> web.Response:
    return await append(request, request.match_info["id"], answer=_answer_append)


def _answer_append(accepted: Sequence[tuple[int, str]]) -> web.Response:
    items = [{"index": index, "name": name} for index, name in accepted]
    return web.json_response({"accepted": items}, status=202)


@routes.post("/api/v1/jobs/{id}/close")
async def close_job(request: web.Request) -> web.Response:
    await _check_bare(request)
    job = await request.app[CONTEXT].reconsiderer.close(request.match_info["id"])
    return _answer_job(request, job)


@routes.post("/api/v1/jobs/{id}/cancel")
async def cancel_job(request: web.Request) -> web.Response:
    await _check_bare(request)
    job = await request.app[CONTEXT].reconsiderer.cancel(request.match_info["id"])
    return _answer_job(request, job)


@routes.post("/api/v1/jobs/{id}/retry")
async def retry_job(request: web.Request) -> web.Response:
    check_query(request.query)
    spec = parse_retry(await _read_options(request))
    job = await request.app[CONTEXT].reconsiderer.retry(
        request.match_info["id"], codes=spec.codes, indexes=spec.indexes
    )
    return _answer_job(request, job)


@routes.get("/api/v1/images")
async def list_images_of_all_jobs(request: web.Request) -> web.Response:
    query = request.query
    check_query(query, "status", "limit", "cursor")
    cursor = query.get("cursor")
    images, after = await request.app[CONTEXT].store.images_by_state(
        read_choice(query, "status", ImageState),
        limit=read_limit(query, IMAGES_AT_ONCE),
        after=decode_id_cursor(cursor) if cursor else None,
    )
    items = [{"job_id": image.job_id, **image_document(image)} for image in images]
    return _page(request, items, after)


@routes.get("/api/v1/jobs/{id}/images")
async def list_images(request: web.Request) -> web.Response:
    store, query = request.app[CONTEXT].store, request.query
    check_query(query, "status", "limit", "cursor")
    job = await store.job(request.match_info["id"])
    cursor = query.get("cursor")
    images, after = await store.images(
        job.id,
        status=read_choice(query, "status", ImageState),
        limit=read_limit(query, IMAGES_AT_ONCE),
        after=decode_index_cursor(cursor) if cursor else None,
    )
    return _page(request, [image_document(image) for image in images], after)


@routes.get(f"/api/v1/jobs/{{id}}/images/{INDEX}")
async def get_image(request: web.Request) -> web.Response:
    check_query(request.query)
    return web.json_response(image_document(await find_image(request.app[CONTEXT], request)))


async def _read_options(request: web.Request) -> Any:
    """The body; an empty object where there is none."""
    return await read_json_body(request, MAX_OPTIONS_BYTES, is_optional=True)


async def _check_bare(request: web.Request) -> None:
    """Whoever asks for some images only must not get all. Raises InvalidRequest."""
    check_query(request.query)
    if await _read_options(request) != {}:
        raise InvalidRequest("This takes no body.")


def _answer_job(
    request: web.Request, job: Job, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    document = job_document(job, request.app[CONTEXT].paces)
    return web.json_response(document, status=status, headers=headers)


def _page(request: web.Request, items: list[Any], after: str | int | None) -> web.Response:
    cursor = None if after is None else encode_cursor(after)
    response = web.json_response({"items": items, "next_cursor": cursor})
    if cursor is not None:
        response.headers["Link"] = link_next(request, cursor)
    return response
