"""One image in, one file out, and nothing kept."""

from __future__ import annotations

import base64
from pathlib import PurePosixPath

from aiohttp import web

from imgsvc.api.arrivals import DOCUMENTS
from imgsvc.api.bodies import read_body
from imgsvc.api.connections import ending_with_client
from imgsvc.api.context import CONTEXT
from imgsvc.api.files import send_file
from imgsvc.api.outputs import disposition, read_kind
from imgsvc.api.pages import check_query, read_name
from imgsvc.blobs.stage import Stage
from imgsvc.dispatch.urgent import Product
from imgsvc.domain.image import NewImage
from imgsvc.domain.names import without_controls
from imgsvc.domain.rendering import EXTENSIONS, MEDIA_TYPES
from imgsvc.errors import Fault, InvalidRequest, UnsupportedMediaType
from imgsvc.intake.faults import pointer_to
from imgsvc.intake.multipart import Field, read_multipart
from imgsvc.intake.reception import receive_body
from imgsvc.intake.render_query import PARAMETERS, parse_render

routes = web.RouteTableDef()

WARNINGS = "Imgsvc-Warnings"
"""Header with the codes of what was done otherwise than asked; absent when there is none."""

DEFAULT_STEM = "image"

_FORM_BYTES = 64 << 10
"""What a form may hold besides its file."""


@routes.post("/api/v1/render")
async def render(request: web.Request) -> web.StreamResponse:
    context, query = request.app[CONTEXT], request.query
    check_query(query, *PARAMETERS, "name", "inline")
    kind, name = read_kind(request), read_name(query)
    spec = parse_render({name: query[name] for name in PARAMETERS if name in query})
    async with context.renderer.begin(spec) as rendering:
        image = await _receive(request, rendering.stage)
        with ending_with_client(request):
            async with rendering.make(image) as product:
                return await _answer(request, product, name or image.name, kind)


async def _receive(request: web.Request, stage: Stage) -> NewImage:
    """Raises UnsupportedMediaType, PayloadTooLarge, and what reading a body raises."""
    most = request.app[CONTEXT].settings.limits.max_image_bytes
    kind = request.content_type  # application/octet-stream when none was sent
    if kind == "multipart/form-data":
        return await _receive_form(request, stage, most)
    if kind == "application/octet-stream" or kind.startswith("image/"):
        return await receive_body(read_body(request, most), stage, name=None, max_image_bytes=most)
    raise UnsupportedMediaType(
        "Send one image as image/*, application/octet-stream or multipart/form-data."
    )


async def _receive_form(request: web.Request, stage: Stage, max_image_bytes: int) -> NewImage:
    image: NewImage | None = None
    chunks = read_body(request, max_image_bytes + _FORM_BYTES)
    form = read_multipart(request.headers["Content-Type"], chunks, request[DOCUMENTS])
    async for part in form:
        if isinstance(part, Field):
            raise InvalidRequest.at(pointer_to([part.name]), "options stand in the query here")
        if image is not None:
            raise InvalidRequest.at(pointer_to([part.name]), "one file, and no more")
        image = await receive_body(
            part.chunks, stage, name=part.filename, max_image_bytes=max_image_bytes
        )
    if image is None:
        raise InvalidRequest("The form has no file.", (Fault("", "one file is needed"),))
    return image


async def _answer(
    request: web.Request, product: Product, name: str | None, kind: str
) -> web.StreamResponse:
    """kind: of the Content-Disposition."""
    (output,) = product.rendered.outputs
    stem = without_controls(PurePosixPath(name or "").stem) or DEFAULT_STEM
    digest = base64.b64encode(bytes.fromhex(output.sha256)).decode()
    headers = {
        "Content-Type": MEDIA_TYPES[output.format],
        "Content-Disposition": disposition(kind, f"{stem}.{EXTENSIONS[output.format]}"),
        "Repr-Digest": f"sha-256=:{digest}:",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    codes = dict.fromkeys(warning.code for warning in product.rendered.warnings)
    if codes:
        headers[WARNINGS] = ", ".join(codes)
    return await send_file(request, product.path(output), output.size_bytes, headers)
