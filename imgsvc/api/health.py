"""Whether the server lives, is ready, and what it is."""

from __future__ import annotations

from aiohttp import web

from imgsvc import __version__
from imgsvc.api.context import CONTEXT
from imgsvc.api.documents import workers_document
from imgsvc.api.pages import check_query

routes = web.RouteTableDef()


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
    formats = await context.workforce.formats()
    return web.json_response(
        {
            "name": "imgsvc",
            "version": __version__,
            "formats": {"read": list(formats.read), "write": list(formats.write)},
            "limits": limits.model_dump(),
            "workers": workers_document(context.workforce.facts()),
            "queue": {"pending_images": context.store.pending_images},
        }
    )
