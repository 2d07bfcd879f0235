"""Bodies that are on their way in: each takes memory and files, so there is a limit to them, and
who hardly brings anything makes way for others.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from imgsvc.api.bodies import reader_of
from imgsvc.errors import RateLimited
from imgsvc.intake.documents import DocumentRoom, Documents

SMALL_BYTES = 64 << 10
"""A body up to this size is no more than what a connection holds anyway."""

RETRY_AFTER_S = 5

DOCUMENTS = web.RequestKey("documents", Documents)
"""What the request holds of JSON and form fields; released at its end at the latest."""


def bound_arrivals(most: int) -> Middleware:
    """At most so many larger bodies arrive at a time; one more is `rate_limited`, unless the
    slowest makes way for it.
    """
    arriving: dict[int, web.Request] = {}  # requests themselves cannot be hashed

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _is_small(request):
            return await handler(request)
        if len(arriving) >= most:
            # Those that are complete need their place no more, however late they are answered.
            for number in [n for n, one in arriving.items() if one.content.at_eof()]:
                del arriving[number]
        if len(arriving) >= most and not _let_slowest_go(arriving):
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
        request[DOCUMENTS] = documents = Documents(room, reader_of(request))
        try:
            return await handler(request)
        finally:
            documents.release()

    return hold


def _let_slowest_go(arriving: dict[int, web.Request]) -> bool:
    """Free the place of the one that is furthest behind; False when none is."""
    behind_s = {number: reader_of(one).behind_s for number, one in arriving.items()}
    slowest = max(arriving, key=behind_s.__getitem__)
    if behind_s[slowest] <= 0:
        return False
    reader_of(arriving.pop(slowest)).make_way()
    return True


def _is_small(request: web.Request) -> bool:
    length = request.content_length
    return not request.body_exists or (length is not None and length <= SMALL_BYTES)
