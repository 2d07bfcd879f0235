"""Reading request bodies: in chunks, counted, and never for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from imgsvc.errors import MalformedRequest, PayloadTooLarge, RequestTimeout, UnsupportedMediaType
from imgsvc.intake.patient_reader import PatientReader, TooSlow

_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
"""Content codings that aiohttp undoes."""

STALL_S = 30.0
"""How long a body may bring nothing before it is given up."""

SLOW_AFTER_S = 60.0
"""How long we may have waited for a body in all before its rate counts."""


async def read_body(request: web.Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The body as it arrives, unpacked.

    Raises UnsupportedMediaType for an unknown content coding, PayloadTooLarge beyond
    `max_bytes`, RequestTimeout when it stalls or drips, MalformedRequest when it breaks off.
    """
    if request.headers.get("Content-Encoding", "").lower() not in _ENCODINGS:
        raise UnsupportedMediaType("A body may be packed with gzip or deflate, nothing else.")
    if request.content_length is not None and request.content_length > max_bytes:
        raise PayloadTooLarge(f"The body is larger than {max_bytes} bytes.")
    reader = PatientReader(request.content.readany, STALL_S, SLOW_AFTER_S)
    received = 0
    while True:
        try:
            chunk = await reader.read()
        except TooSlow as exc:
            raise RequestTimeout(f"The body {exc}.") from exc
        except (web.RequestPayloadError, ConnectionError) as exc:
            raise MalformedRequest("The body breaks off before its end.") from exc
        if not chunk:
            return
        received += len(chunk)
        if received > max_bytes:
            raise PayloadTooLarge(f"The body is larger than {max_bytes} bytes.")
        yield chunk
