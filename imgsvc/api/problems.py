"""Errors as `application/problem+json` (RFC 9457); the one place that knows their statuses."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from imgsvc import errors
from imgsvc.errors import ImageError, ImageErrorCode, RequestError

STATUSES: dict[str, int] = {
    "malformed_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "request_timeout": 408,
    "job_closed": 409,
    "preset_readonly": 409,
    "idempotency_in_progress": 409,
    "not_ready": 409,
    "payload_too_large": 413,
    "too_many_images": 413,
    "unsupported_media_type": 415,
    "host_not_allowed": 421,
    "invalid_recipe": 422,
    "invalid_request": 422,
    "invalid_csv": 422,
    "idempotency_mismatch": 422,
    "rate_limited": 429,
    "queue_full": 429,
    "internal": 500,
    "shutting_down": 503,
    "storage_full": 507,
}

IMAGE_STATUSES: dict[str, int] = {code: STATUSES.get(code, 422) for code in ImageErrorCode}
"""Of a request that is about one image, and fails with it."""

_RETRY_AFTER_S = {"rate_limited": 10, "queue_full": 10, "shutting_down": 10}

_BY_STATUS: dict[int, type[RequestError]] = {
    400: errors.MalformedRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    406: errors.NotAcceptable,
    408: errors.RequestTimeout,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    417: errors.MalformedRequest,
}


def problem_document(error: RequestError | ImageError, instance: str) -> dict[str, Any]:
    faults = error.faults if isinstance(error, RequestError) else ()
    return {
        "type": f"urn:imgsvc:problem:{error.code}",
        "title": error.title,
        "status": _status(error),
        "detail": error.message,
        "instance": instance,
        "code": error.code,
        "errors": [{"pointer": f.pointer, "detail": f.detail} for f in faults],
    }


def problem_response(error: RequestError | ImageError, instance: str) -> web.Response:
    headers = {}
    retry_after_s = error.retry_after_s if isinstance(error, RequestError) else None
    retry_after_s = retry_after_s or _RETRY_AFTER_S.get(error.code)
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    return web.Response(
        body=json.dumps(problem_document(error, instance), ensure_ascii=False).encode(),
        status=_status(error),
        headers=headers,
        content_type="application/problem+json",
    )


def _status(error: RequestError | ImageError) -> int:
    return STATUSES[error.code] if isinstance(error, RequestError) else IMAGE_STATUSES[error.code]


def translate_http_error(exc: web.HTTPException, instance: str) -> web.Response | None:
    """Aiohttp's own errors in our form; None when it has no counterpart (a redirect, 304)."""
    error_class = _BY_STATUS.get(exc.status)
    if error_class is None:
        return None
    response = problem_response(error_class(_plain_detail(exc)), instance)
    if allow := exc.headers.get("Allow"):
        response.headers["Allow"] = allow
    return response


def _plain_detail(exc: web.HTTPException) -> str:
    details = {
        400: exc.text,
        404: "Nothing is served at this address.",
        405: "This address takes other methods.",
        417: "The only expectation known here is 100-continue.",
    }
    return details.get(exc.status) or exc.reason
