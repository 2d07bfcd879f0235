"""Requests that bring images: to a new job, or to one that is open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from imgsvc.api.addresses import base_url
from imgsvc.api.arrivals import DOCUMENTS
from imgsvc.api.context import CONTEXT
from imgsvc.api.forms import take_in
from imgsvc.api.idempotency import TakeIn, answer_once
from imgsvc.domain.job import Job
from imgsvc.errors import Fault, InvalidRequest
from imgsvc.store.keys import KnownKey


async def submit(
    request: web.Request,
    *,
    source: str,
    answer: Callable[[Job], Awaitable[web.Response]],
    take_in: TakeIn = take_in,
) -> web.Response:
    """Make a job of what the request brings; answered once all of it is durable.

    source: as in Job. Raises RequestErrors of many kinds; nothing is left behind then.
    """
    context = request.app[CONTEXT]
    _check_brings_something(request)

    async def perform(key: str | None) -> web.Response:
        async with await context.submitter.begin(source, base_url(request)) as submission:
            submission.fingerprint.add(request.method, request.path)
            await take_in(request, submission)
            job = await submission.commit(key)
        request[DOCUMENTS].release()  # to wait for the job may take a minute
        return await answer(job)

    async def recover(known: KnownKey) -> web.Response:
        return await answer(await context.store.job(known.job_id))

    return await answer_once(request, take_in, perform, recover)


async def append(
    request: web.Request,
    job_id: str,
    *,
    answer: Callable[[Sequence[tuple[int, str]]], web.Response],
) -> web.Response:
    """Add what the request brings to an open job: index and name of each image."""
    context = request.app[CONTEXT]

    async def perform(key: str | None) -> web.Response:
        async with await context.appender.begin(job_id) as appending:
            appending.fingerprint.add(request.method, request.path)
            _check_brings_something(request)
            await take_in(request, appending)
            return answer(await appending.commit(key))

    async def recover(known: KnownKey) -> web.Response:
        return answer(known.accepted or ())

    return await answer_once(request, take_in, perform, recover)


def _check_brings_something(request: web.Request) -> None:
    """Raises InvalidRequest where there is neither a body nor its type."""
    if "Content-Type" not in request.headers and not request.body_exists:
        raise InvalidRequest(
            "The request has no image.", (Fault("/images", "at least one image is needed"),)
        )
