"""Everything as one file."""

from __future__ import annotations

from aiohttp import web

from imgsvc.api.archives import stream_zip
from imgsvc.api.context import CONTEXT
from imgsvc.api.pages import check_query
from imgsvc.service.backup import open_backup

MISSING_FILES = "Imgsvc-Missing-Files"

routes = web.RouteTableDef()


@routes.post("/api/v1/backup")
async def make_backup(request: web.Request) -> web.StreamResponse:
    """A POST, although it changes nothing: no other site's page may ask for it."""
    check_query(request.query)
    context = request.app[CONTEXT]
    keep_inputs = context.settings.storage.keep_inputs
    async with open_backup(context.store, context.blobs, keep_inputs=keep_inputs) as made:
        headers = {MISSING_FILES: str(made.missing_files)}
        return await stream_zip(request, made.archive, "imgsvc-backup.zip", headers)
