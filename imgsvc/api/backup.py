"""Everything as one file."""

from __future__ import annotations

from aiohttp import web

from imgsvc.api.archives import stream_zip
from imgsvc.api.context import CONTEXT
from imgsvc.api.pages import check_query
from imgsvc.service.backup import open_backup

routes = web.RouteTableDef()


@routes.post("/api/v1/backup")
async def make_backup(request: web.Request) -> web.StreamResponse:
    """A POST, although it changes nothing: no other site's page may ask for it."""
    check_query(request.query)
    context = request.app[CONTEXT]
    async with open_backup(context.store, context.blobs) as archive:
        return await stream_zip(request, archive, "imgsvc-backup.zip")
