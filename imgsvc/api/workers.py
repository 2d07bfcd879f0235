"""The worker pool over HTTP."""

from __future__ import annotations

from aiohttp import web

from imgsvc.api.arrivals import DOCUMENTS
from imgsvc.api.bodies import read_body
from imgsvc.api.context import CONTEXT
from imgsvc.api.documents import workers_document
from imgsvc.api.pages import check_query
from imgsvc.intake.json_body import read_plain_json
from imgsvc.intake.workers import parse_workers

routes = web.RouteTableDef()

MAX_BODY_BYTES = 4096


@routes.patch("/api/v1/workers")
async def change_workers(request: web.Request) -> web.Response:
    """Resize the pool while it runs; returns when the change has begun."""
    check_query(request.query)
    body = read_body(request, MAX_BODY_BYTES)
    document = await read_plain_json(body, request[DOCUMENTS], max_json_bytes=MAX_BODY_BYTES)
    spec = parse_workers(document)
    workforce = request.app[CONTEXT].workforce
    await workforce.resize(spec.size)
    return web.json_response(workers_document(workforce.facts()))
