"""What happens around every request: its id, its log line, its errors as problems."""

from __future__ import annotations

import re
import time

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from imgsvc.api.files import FileAnswer
from imgsvc.api.problems import problem_response, translate_http_error
from imgsvc.api.traffic import note_route
from imgsvc.domain.ids import new_id
from imgsvc.errors import ImageError, Internal, RequestError
from imgsvc.telemetry.logs import get_logger

log = get_logger(__name__)

REQUEST_ID = web.RequestKey("request_id", str)
STARTED = web.RequestKey("started", bool)
"""Set once the head of the answer may have been sent."""

_SENSIBLE_ID = re.compile(r"[\x21-\x7e]{1,128}")
_QUIET = frozenset({"/livez", "/readyz", "/health", "/metrics"})


@web.middleware
async def identify_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Echo a sensible `X-Request-ID`, or make one; log the request when it has ended."""
    given = request.headers.get("X-Request-ID", "")
    request_id = given if _SENSIBLE_ID.fullmatch(given) else new_id()
    request[REQUEST_ID] = request_id
    note_route(request)
    began = time.monotonic()
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        response = await handler(request)
        if not response.prepared:
            response.headers["X-Request-ID"] = request_id
        write = log.debug if request.path in _QUIET else log.info
        write(
            "request",
            method=request.method,
            path=request.path,
            status=response.status,
            duration_ms=round((time.monotonic() - began) * 1000, 1),
        )
    return response


async def note_start(request: web.Request, response: web.StreamResponse) -> None:
    """Responses that begin before their handler returns carry the id too."""
    request[STARTED] = True
    if REQUEST_ID in request:
        response.headers.setdefault("X-Request-ID", request[REQUEST_ID])


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A file is looked for while the answer can still be a problem."""
    response = await handler(request)
    if isinstance(response, FileAnswer):
        await response.check_is_there()
    return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a problem document; only a bug becomes `internal`."""
    try:
        return await _answer(request, handler)
    except (RequestError, ImageError) as exc:
        if STARTED in request:
            raise  # half an answer must not look whole: aiohttp breaks the connection off
        return problem_response(exc, request.path)
    except web.HTTPException as exc:
        response = translate_http_error(exc, request.path)
        if response is None:
            raise
        return response
    except (ConnectionError, TimeoutError):
        raise
    except Exception:
        log.exception("request_failed", method=request.method, path=request.path)
        if STARTED in request:
            raise
        message = "The server could not answer; its log has the details under this request's id."
        return problem_response(Internal(message), request.path)
