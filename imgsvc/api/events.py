"""Progress over WebSocket and Server-Sent Events: the same messages on both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from aiohttp import web

from imgsvc.api.context import CONTEXT, Context
from imgsvc.api.documents import image_document, job_document, job_summary
from imgsvc.api.pages import check_query
from imgsvc.api.websockets import PING_S, Batch, Message, serve_websocket, wants_websocket
from imgsvc.domain.job import Job
from imgsvc.domain.states import JobState
from imgsvc.errors import NotAcceptable
from imgsvc.progress.hub import Event, FellBehind, HubClosed, Reader
from imgsvc.progress.pace import Paces

routes = web.RouteTableDef()

NEWEST_JOBS = 50

JOBS_AT_ONCE = 100

MAX_SEQ_DIGITS = 18


@routes.get("/api/v1/jobs/{id}/events")
async def job_events(request: web.Request) -> web.StreamResponse:
    check_query(request.query)
    context = request.app[CONTEXT]
    job = await context.store.job(request.match_info["id"])
    if wants_websocket(request):
        return await serve_websocket(request, _job_messages(context, job.id))
    _check_accepts_events(request)
    if job.state.is_final and _last_event_id(request) > job.seq:
        return web.Response(status=204)
    return await _serve_events(request, _job_messages(context, job.id))


@routes.get("/api/v1/events")
async def all_events(request: web.Request) -> web.StreamResponse:
    check_query(request.query)
    context = request.app[CONTEXT]
    if wants_websocket(request):
        return await serve_websocket(request, _all_messages(context))
    _check_accepts_events(request)
    return await _serve_events(request, _all_messages(context))


async def _job_messages(context: Context, job_id: str) -> AsyncGenerator[Batch, None]:
    """Snapshot, changes, end. Raises HubClosed when the server stops."""
    paces = context.paces
    with context.hub.watch(job_id) as reader:
        job = await context.store.job(job_id)
        snapshot = {"type": "snapshot", "seq": job.seq, "job": job_document(job, paces)}
        yield [(job.seq, _dump(snapshot))]
        seen = job.seq
        ended = job.state.is_final
        while not ended:
            batch: Batch = []
            for event in await reader.take():
                if event.seq <= seen:
                    continue
                seen = event.seq
                batch.append((event.seq, _encode(event, paces)))
                job = event.job
                if event.image is None and (event.deleted or job.state.is_final):
                    ended = True
                    break
            yield batch
        yield [_end(job, paces)]


def _end(job: Job, paces: Paces) -> Message:
    """The last message of a job; one that was deleted half-way ends as cancelled."""
    if not job.state.is_final:
        job = replace(job, state=JobState.CANCELLED)
    seq = job.seq + 1
    return seq, _dump({"type": "end", "seq": seq, "job": job_document(job, paces)})


async def _all_messages(context: Context) -> AsyncGenerator[Batch, None]:
    """Snapshot of the newest jobs, then a message for every change of a job. Raises HubClosed."""
    seq = 0
    paces = context.paces
    with context.hub.watch(None) as reader:
        jobs, _ = await context.store.jobs(limit=NEWEST_JOBS)
        newest = [job_document(job, paces) for job in jobs]
        yield [(seq, _dump({"type": "snapshot", "seq": seq, "jobs": newest}))]
        async with aclosing(_changed_jobs(context, reader)) as changes:
            async for changed in changes:
                batch: Batch = []
                for job in changed:
                    seq += 1
                    change = {"type": "job", "seq": seq, "job": job_summary(job, paces)}
                    batch.append((seq, _dump(change)))
                yield batch


async def _changed_jobs(context: Context, reader: Reader) -> AsyncGenerator[list[Job], None]:
    """Jobs as they are after each change; all that there are, page by page, once the reader fell
    behind: it is told of every job's last state, and holds little. Raises HubClosed.
    """
    while True:
        try:
            yield [event.job for event in await reader.take()]
        except FellBehind:
            jobs, after = await context.store.jobs(limit=JOBS_AT_ONCE)
            yield jobs
            while after is not None and not reader.is_closed:
                jobs, after = await context.store.jobs(limit=JOBS_AT_ONCE, after=after)
                yield jobs


def _encode(event: Event, paces: Paces) -> str:
    if event.encoded is None:
        document: dict[str, Any] = {"type": "job", "seq": event.seq}
        if event.image is not None:
            document["type"] = "image"
            document["image"] = image_document(event.image)
        document["job"] = job_summary(event.job, paces)
        event.encoded = _dump(document)
    return event.encoded


def _dump(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _check_accepts_events(request: web.Request) -> None:
    if not any(map(_is_event_stream, request.headers.get("Accept", "").split(","))):
        raise NotAcceptable(
            "Progress comes as a WebSocket, or as Server-Sent Events with "
            "Accept: text/event-stream."
        )


def _is_event_stream(accepted: str) -> bool:
    """Whether one part of an Accept header takes events, with a weight above nothing."""
    kind, *parameters = [part.strip().lower() for part in accepted.split(";")]
    weight = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    return kind in {"text/event-stream", "text/*"} and weight.strip("0.") != ""


def _last_event_id(request: web.Request) -> int:
    given = request.headers.get("Last-Event-ID", "")
    if not (given.isascii() and given.isdigit()):
        return -1
    return int(given) if len(given) <= MAX_SEQ_DIGITS else 1 << 62


async def _serve_events(
    request: web.Request, batches: AsyncGenerator[Batch, None]
) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
    )
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    following = asyncio.ensure_future(anext(batches))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=PING_S)
            if not done:
                await response.write(b": ping\n\n")
                continue
            events = "".join(f"id: {seq}\ndata: {text}\n\n" for seq, text in following.result())
            await response.write(events.encode())
            following = asyncio.ensure_future(anext(batches))
    except (StopAsyncIteration, HubClosed, ConnectionError):
        return response
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await batches.aclose()
