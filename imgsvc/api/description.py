"""The API described: as a document for programs, and as a page for people."""

from __future__ import annotations

import asyncio
import hashlib
import json
from functools import lru_cache

from aiohttp import ETag, web

from imgsvc.api.addresses import base_url
from imgsvc.api.context import CONTEXT
from imgsvc.api.pages import check_query
from imgsvc.config import LimitSettings

routes = web.RouteTableDef()

_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


@routes.get("/openapi.json")
async def get_document(request: web.Request) -> web.Response:
    check_query(request.query)
    limits = request.app[CONTEXT].settings.limits
    body = await asyncio.to_thread(_dump_document, limits)
    return _answer(request, body, "application/json", {})


@routes.get("/docs")
async def get_page(request: web.Request) -> web.Response:
    check_query(request.query)
    limits = request.app[CONTEXT].settings.limits
    body, policy = await asyncio.to_thread(_render, limits, base_url(request))
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}
    return _answer(request, body, "text/html", headers)


@lru_cache(maxsize=1)
def _dump_document(limits: LimitSettings) -> bytes:
    from imgsvc.api.openapi.document import build_document  # most servers are never asked for it

    return json.dumps(build_document(limits), ensure_ascii=False).encode()


@lru_cache(maxsize=4)
def _render(limits: LimitSettings, base: str) -> tuple[bytes, str]:
    """The page, and what browsers are told to refuse it. base: what addresses begin with."""
    from imgsvc.api.openapi.document import build_document
    from imgsvc.api.openapi.page import POLICY, render_page

    return render_page(build_document(limits), base).encode(), POLICY


def _answer(
    request: web.Request, body: bytes, media_type: str, headers: dict[str, str]
) -> web.Response:
    etag = hashlib.sha256(body).hexdigest()[:32]
    if _has_it(request, etag):
        response = web.Response(status=304, headers=_HEADERS | headers)
    else:
        response = web.Response(
            body=body, content_type=media_type, charset="utf-8", headers=_HEADERS | headers
        )
    response.etag = etag
    return response


def _has_it(request: web.Request, etag: str) -> bool:
    known: tuple[ETag, ...] = request.if_none_match or ()
    return any(each.value in {etag, "*"} for each in known)
