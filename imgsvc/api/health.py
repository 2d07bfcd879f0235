"""Whether the server lives, is ready, and what it is."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from imgsvc import __version__
from imgsvc.api.context import CONTEXT
from imgsvc.api.documents import workers_document
from imgsvc.api.pages import check_query
from imgsvc.dispatch.workforce import Workforce

routes = web.RouteTableDef()

FORMATS_WITHIN_S = 5.0
"""So long a server that has just begun is waited for to have a worker, who knows the formats."""


@routes.get("/livez")
async def livez(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


@routes.get("/readyz")
@routes.get("/health")
async def readyz(request: web.Request) -> web.Response:
    problems = await request.app[CONTEXT].readiness.problems()
    if problems:
        return web.json_response(
            {"status": "unavailable", "problems": problems},
            status=503,
            headers={"Retry-After": "5"},
        )
    return web.json_response({"status": "ok"})


@routes.get("/api/v1/info")
async def info(request: web.Request) -> web.Response:
    check_query(request.query)
    context = request.app[CONTEXT]
    limits = context.settings.limits
    formats = await _formats(context.workforce)
    return web.json_response(
        {
            "name": "imgsvc",
            "version": __version__,
            "formats": formats,
            "limits": limits.model_dump(),
            "workers": workers_document(context.workforce.facts()),
            "queue": {"pending_images": context.store.pending_images},
        }
    )


async def _formats(workforce: Workforce) -> dict[str, Any] | None:
    """None while no worker has come up; the rest is of use without."""
    try:
        async with asyncio.timeout(FORMATS_WITHIN_S):
            formats = await workforce.formats()
    except TimeoutError:
        return None
    return {"read": list(formats.read), "write": list(formats.write)}
