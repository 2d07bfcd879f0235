"""A document that ends with a list, written as the list is read: there may be thousands."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from types import MappingProxyType
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
    """`fields`, and after them the list `images`, of all images of a job.

    A job that is deleted meanwhile breaks the answer off.
    """

    async def items() -> AsyncIterator[dict[str, Any]]:
        count = 0
        async for image in request.app[CONTEXT].store.iter_images(job.id):
            yield describe(image)
            count += 1
        if count < job.total:
            raise NotFound("The job was deleted.")

    return await answer_with_list(request, fields, "images", items())


async def answer_with_list(
    request: web.Request,
    fields: Mapping[str, Any],
    name: str,
    items: AsyncIterator[object],
    closing: Mapping[str, Any] = MappingProxyType({}),
) -> web.StreamResponse:
    """`fields`, one at least, and after them the list `name`; what `items` raises breaks the
    answer off.

    closing: fields after the list, which may change while it is read.
    """
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    if request.method != "HEAD":
        gathered = f"{_dump(fields)[:-1]},{_dump(name)}:["
        comma = ""
        async for item in items:
            gathered += comma + _dump(item)
            comma = ","
            if len(gathered) > FLUSH_CHARS:
                await response.write(gathered.encode())
                gathered = ""
        end = f",{_dump(dict(closing))[1:]}" if closing else "}"
        await response.write(f"{gathered}]{end}".encode())
    await response.write_eof()
    return response
