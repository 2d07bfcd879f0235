"""A document with all images of a job in it, written as they are read: there may be thousands."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from imgsvc.api.context import CONTEXT
from imgsvc.domain.image import Image
from imgsvc.domain.job import Job
from imgsvc.errors import NotFound

FLUSH_CHARS = 64 << 10

_dump = partial(json.dumps, separators=(",", ":"))


async def answer_with_images(
    request: web.Request,
    job: Job,
    fields: Mapping[str, Any],
    describe: Callable[[Image], dict[str, Any]],
) -> web.StreamResponse:
    """`fields`, and after them the list `images`.

    A job that is deleted meanwhile breaks the answer off.
    """
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    if request.method != "HEAD":
        async for text in _pieces(request, job, fields, describe):
            await response.write(text.encode())
    await response.write_eof()
    return response


async def _pieces(
    request: web.Request,
    job: Job,
    fields: Mapping[str, Any],
    describe: Callable[[Image], dict[str, Any]],
) -> AsyncIterator[str]:
    """Raises NotFound when the job goes away meanwhile."""
    gathered = _dump(fields)[:-1] + ',"images":['
    count = 0
    async for image in request.app[CONTEXT].store.iter_images(job.id):
        gathered += ("," if count else "") + _dump(describe(image))
        count += 1
        if len(gathered) > FLUSH_CHARS:
            yield gathered
            gathered = ""
    if count < job.total:
        raise NotFound("The job was deleted.")
    yield gathered + "]}"
