"""Bodies that are on their way in: each takes memory and files, so there is a limit to them."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from imgsvc.errors import RateLimited
from imgsvc.intake.documents import DocumentRoom, Documents

SMALL_BYTES = 64 << 10
"""A body up to this size is no more than what a connection holds anyway."""

RETRY_AFTER_S = 5

DOCUMENTS = web.RequestKey("documents", Documents)
"""What the request holds of JSON and form fields; released at its end at the latest."""


def bound_arrivals(most: int) -> Middleware:
    """At most so many larger bodies arrive at a time; one more is `rate_limited`."""
    arriving: dict[int, web.Request] = {}  # requests themselves cannot be hashed

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _is_small(request):
            return await handler(request)
        if len(arriving) >= most:
            # Those that are complete need their place no more, however late they are answered.
            for number in [n for n, one in arriving.items() if one.content.at_eof()]:
                del arriving[number]
        if len(arriving) >= most:
            raise RateLimited("Too many uploads are arriving already.", retry_after_s=RETRY_AFTER_S)
        arriving[id(request)] = request
        try:
            return await handler(request)
        finally:
            arriving.pop(id(request), None)

    return admit


def bound_documents(room: DocumentRoom) -> Middleware:
    """What requests hold of documents has its place in `room`."""

    @web.middleware
    async def hold(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[DOCUMENTS] = documents = Documents(room)
        try:
            return await handler(request)
        finally:
            documents.release()

    return hold


def _is_small(request: web.Request) -> bool:
    length = request.content_length
    return not request.body_exists or (length is not None and length <= SMALL_BYTES)
