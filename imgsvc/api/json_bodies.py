"""Small JSON documents as bodies: what is to be changed, and how."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from imgsvc.api.arrivals import DOCUMENTS
from imgsvc.api.bodies import read_body
from imgsvc.intake.json_body import read_plain_json


async def read_json_body(request: web.Request, max_bytes: int, *, is_optional: bool = False) -> Any:
    """The document that is the body, whatever type it was sent as: nothing else can be meant.
    Raises what reading and parsing raise.

    is_optional: without a byte it is an empty object.
    """
    return await read_plain_json(
        read_body(request, max_bytes),
        request[DOCUMENTS],
        max_json_bytes=max_bytes,
        is_optional=is_optional,
    )
