"""Reading request bodies: in chunks, counted, and never for ever."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

from aiohttp import web

from imgsvc.errors import MalformedRequest, PayloadTooLarge, RequestTimeout, UnsupportedMediaType

_PLAIN = frozenset({"", "identity"})
_ENCODINGS = _PLAIN | {"gzip", "deflate"}
"""Content codings that aiohttp undoes."""


MAX_RATIO = 100
"""What one packed byte may come to, once a body has unpacked to a mebibyte: to unpack more is
work for nothing. Documents reach 20, pictures hardly more than 1.
"""

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
    if request.content_length is not None and request.content_length > max_bytes:
        raise PayloadTooLarge(f"The body is larger than {max_bytes} bytes.")
    most_unpacked = _most_unpacked(request)
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
        if received > most_unpacked:
            raise PayloadTooLarge("The body unpacks to far more than it is.")
        yield chunk


def _most_unpacked(request: web.Request) -> float:
    """Bytes; infinity for a body that is not packed. Raises UnsupportedMediaType."""
    encoding = request.headers.get("Content-Encoding", "").lower()
    if encoding not in _ENCODINGS:
        raise UnsupportedMediaType("A body may be packed with gzip or deflate, nothing else.")
    if encoding in _PLAIN:
        return math.inf
    return (1 << 20) + MAX_RATIO * (request.content_length or 1 << 20)
