"""The worker pool over HTTP."""

from __future__ import annotations

from aiohttp import web

from imgsvc.api.context import CONTEXT
from imgsvc.api.documents import workers_document
from imgsvc.api.json_bodies import read_json_body
from imgsvc.api.pages import check_query
from imgsvc.intake.workers import parse_workers

routes = web.RouteTableDef()

MAX_BODY_BYTES = 4096


@routes.patch("/api/v1/workers")
async def change_workers(request: web.Request) -> web.Response:
    """Resize the pool while it runs; returns when the change has begun."""
    check_query(request.query)
    spec = parse_workers(await read_json_body(request, MAX_BODY_BYTES))
    workforce = request.app[CONTEXT].workforce
    await workforce.resize(spec.size)
    return web.json_response(workers_document(workforce.facts()))
