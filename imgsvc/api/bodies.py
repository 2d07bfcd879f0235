"""Reading request bodies: in chunks, counted, and never for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from imgsvc.errors import MalformedRequest, PayloadTooLarge, RequestTimeout, UnsupportedMediaType
from imgsvc.intake.patient_reader import PatientReader, TooSlow

_PLAIN = frozenset({"", "identity"})
_ENCODINGS = _PLAIN | {"gzip", "deflate"}
"""Content codings that aiohttp undoes."""

BLANK_BYTES = 16 << 20
"""What a packed body may come to in any case: the upper half of a scan may be blank, and be all
that has arrived so far.
"""

MAX_RATIO = 100
"""What one packed byte may come to beyond that: to unpack more is work for nothing. Documents
reach 20, pictures hardly more than 1.
"""

READ_BYTES = 1 << 20
"""What is taken of a large body at a time, where so much is there. asyncio takes a quarter of it,
and each time costs as much as to receive 200 KiB.
"""

STALL_S = 30.0
"""How long a body may bring nothing before it is given up."""

SLOW_AFTER_S = 60.0
"""How long a body that is too slow is waited for in all."""

_READER = web.RequestKey("reader", PatientReader)


def reader_of(request: web.Request) -> PatientReader:
    """The one reader of its body."""
    if _READER not in request:
        request[_READER] = PatientReader(request.content, STALL_S, SLOW_AFTER_S)
    return request[_READER]


async def read_body(request: web.Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The body as it arrives, unpacked.

    Raises UnsupportedMediaType for an unknown content coding, PayloadTooLarge beyond
    `max_bytes`, RequestTimeout when it stalls or drips, MalformedRequest when it breaks off.
    """
    if request.content_length is not None and request.content_length > max_bytes:
        raise PayloadTooLarge(f"The body is larger than {max_bytes} bytes.")
    is_packed = _is_packed(request)
    is_small = request.content_length is not None and request.content_length < READ_BYTES
    if not is_packed and not is_small:
        _take_much(request)
    reader = reader_of(request)
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
        if is_packed and received > BLANK_BYTES + MAX_RATIO * request.content.total_raw_bytes:
            raise PayloadTooLarge("The body unpacks to far more than it is.")
        yield chunk


def _take_much(request: web.Request) -> None:
    """From now on, on this connection."""
    transport = request.transport
    if transport is not None and hasattr(transport, "max_size"):  # asyncio's own loops have it
        transport.max_size = READ_BYTES


def _is_packed(request: web.Request) -> bool:
    """Raises UnsupportedMediaType."""
    encoding = request.headers.get("Content-Encoding", "").lower()
    if encoding not in _ENCODINGS:
        raise UnsupportedMediaType("A body may be packed with gzip or deflate, nothing else.")
    return encoding not in _PLAIN
