"""Small JSON documents as bodies: what is to be changed, and how."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from imgsvc.api.arrivals import DOCUMENTS
from imgsvc.api.bodies import read_body
from imgsvc.errors import UnsupportedMediaType
from imgsvc.intake.json_body import read_plain_json


async def read_json_body(request: web.Request, max_bytes: int, *, is_optional: bool = False) -> Any:
    """The document that is the body. Raises UnsupportedMediaType for a body of another type, and
    what reading and parsing raise.

    is_optional: without a byte it is an empty object, whatever its type.
    """
    return await read_plain_json(
        _json_chunks(request, max_bytes),
        request[DOCUMENTS],
        max_json_bytes=max_bytes,
        is_optional=is_optional,
    )


async def _json_chunks(request: web.Request, max_bytes: int) -> AsyncIterator[bytes]:
    async for chunk in read_body(request, max_bytes):
        if request.content_type != "application/json":
            raise UnsupportedMediaType("Send the body as application/json.")
        yield chunk
