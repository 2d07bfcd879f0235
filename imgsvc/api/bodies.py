"""Reading request bodies: in chunks, counted, and never for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from imgsvc.errors import MalformedRequest, PayloadTooLarge, RequestTimeout, UnsupportedMediaType

_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
"""Content codings that aiohttp undoes."""

STALL_S = 30.0
"""How long a body may bring nothing before it is given up."""


SLOW_AFTER_S = 60.0
"""How long we may have waited for a body in all before its rate counts."""

MIN_BYTES_PER_S = 1000.0
"""Slower senders only hold a place that others need."""


async def read_body(request: web.Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The body as it arrives, unpacked.

    Raises UnsupportedMediaType for an unknown content coding, PayloadTooLarge beyond
    `max_bytes`, RequestTimeout when it stalls or drips, MalformedRequest when it breaks off.
    """
    if request.headers.get("Content-Encoding", "").lower() not in _ENCODINGS:
        raise UnsupportedMediaType("A body may be packed with gzip or deflate, nothing else.")
    if request.content_length is not None and request.content_length > max_bytes:
        raise PayloadTooLarge(f"The body is larger than {max_bytes} bytes.")
    clock = asyncio.get_running_loop().time
    received, waited_s = 0, 0.0
    while True:
        began_s = clock()
        try:
            async with asyncio.timeout(STALL_S):
                chunk = await request.content.readany()
        except TimeoutError as exc:
            raise RequestTimeout("The body stopped arriving.") from exc
        except (web.RequestPayloadError, ConnectionError) as exc:
            raise MalformedRequest("The body breaks off before its end.") from exc
        if not chunk:
            return
        received += len(chunk)
        waited_s += clock() - began_s
        if waited_s > SLOW_AFTER_S and received < waited_s * MIN_BYTES_PER_S:
            raise RequestTimeout("The body arrives too slowly.")
        if received > max_bytes:
            raise PayloadTooLarge(f"The body is larger than {max_bytes} bytes.")
        yield chunk
