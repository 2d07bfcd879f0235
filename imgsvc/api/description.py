"""The API described: as a document for programs, and as a page for people."""

from __future__ import annotations

import asyncio
import json
from functools import lru_cache

from aiohttp import web

from imgsvc.api.addresses import base_url
from imgsvc.api.contents import Content
from imgsvc.api.context import CONTEXT
from imgsvc.api.pages import check_query
from imgsvc.config import LimitSettings

routes = web.RouteTableDef()


@routes.get("/openapi.json")
async def get_document(request: web.Request) -> web.Response:
    check_query(request.query)
    limits = request.app[CONTEXT].settings.limits
    document = await asyncio.to_thread(_dump_document, limits)
    return document.answer(request)


@routes.get("/docs")
async def get_page(request: web.Request) -> web.Response:
    check_query(request.query)
    limits = request.app[CONTEXT].settings.limits
    page = await asyncio.to_thread(_render, limits, base_url(request))
    return page.answer(request)


@lru_cache(maxsize=1)
def _dump_document(limits: LimitSettings) -> Content:
    from imgsvc.api.openapi.document import build_document  # most servers are never asked for it

    body = json.dumps(build_document(limits), ensure_ascii=False).encode()
    return Content.of(body, "application/json", {})


@lru_cache(maxsize=4)
def _render(limits: LimitSettings, base: str) -> Content:
    """base: what addresses begin with."""
    from imgsvc.api.openapi.document import build_document
    from imgsvc.api.openapi.page import POLICY, render_page

    headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    return Content.of(render_page(build_document(limits), base).encode(), "text/html", headers)
