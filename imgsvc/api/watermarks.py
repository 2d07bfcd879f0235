"""Watermarks over HTTP."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from imgsvc.api.bodies import read_body
from imgsvc.api.connections import ending_with_client
from imgsvc.api.context import CONTEXT
from imgsvc.api.files import FileAnswer
from imgsvc.api.outputs import disposition
from imgsvc.api.pages import check_query
from imgsvc.domain.times import rfc3339
from imgsvc.domain.watermark import KeptWatermark
from imgsvc.errors import UnsupportedMediaType
from imgsvc.intake.reception import receive_body
from imgsvc.service.watermarks import MAX_BYTES

routes = web.RouteTableDef()


@routes.get("/api/v1/watermarks")
async def list_watermarks(request: web.Request) -> web.Response:
    check_query(request.query)
    found = await request.app[CONTEXT].watermarks.all()
    return web.json_response({"items": [_document(watermark) for watermark in found]})


@routes.get("/api/v1/watermarks/{name}")
async def get_watermark(request: web.Request) -> web.Response:
    check_query(request.query)
    found = await request.app[CONTEXT].watermarks.get(request.match_info["name"])
    return web.json_response(_document(found))


@routes.get("/api/v1/watermarks/{name}/image")
async def get_watermark_image(request: web.Request) -> web.StreamResponse:
    check_query(request.query)
    watermarks = request.app[CONTEXT].watermarks
    found = await watermarks.get(request.match_info["name"])
    headers = {
        "Content-Type": "image/png",
        "Content-Disposition": disposition("inline", f"{found.name}.png"),
        "Cache-Control": "private, max-age=0, must-revalidate",
        "X-Content-Type-Options": "nosniff",
    }
    return FileAnswer(watermarks.path(found), headers)


@routes.put("/api/v1/watermarks/{name}")
async def save_watermark(request: web.Request) -> web.Response:
    """The body is a picture in any format that is read here."""
    check_query(request.query)
    name, watermarks = request.match_info["name"], request.app[CONTEXT].watermarks
    kind = request.content_type  # application/octet-stream when none was sent
    if kind != "application/octet-stream" and not kind.startswith("image/"):
        raise UnsupportedMediaType("Send a picture as image/* or application/octet-stream.")
    async with watermarks.begin(name) as stage:
        body = read_body(request, MAX_BYTES)
        image = await receive_body(body, stage, name=None, max_image_bytes=MAX_BYTES)
        with ending_with_client(request):
            saved, is_new = await watermarks.save_received(name, stage, image)
    if not is_new:
        return web.json_response(_document(saved))
    headers = {"Location": f"/api/v1/watermarks/{name}"}
    return web.json_response(_document(saved), status=201, headers=headers)


@routes.delete("/api/v1/watermarks/{name}")
async def delete_watermark(request: web.Request) -> web.Response:
    check_query(request.query)
    await request.app[CONTEXT].watermarks.delete(request.match_info["name"])
    return web.Response(status=204)


def _document(watermark: KeptWatermark) -> dict[str, Any]:
    return {
        "name": watermark.name,
        "width": watermark.width,
        "height": watermark.height,
        "size_bytes": watermark.size_bytes,
        "sha256": watermark.sha256,
        "updated_at": rfc3339(watermark.updated_at),
    }
