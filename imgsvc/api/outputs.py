"""Finished files, one by one."""

from __future__ import annotations

import base64
import re
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from aiohttp import web

from imgsvc.api.context import CONTEXT, Context
from imgsvc.api.files import FileAnswer
from imgsvc.api.pages import check_query
from imgsvc.domain.image import Image
from imgsvc.domain.names import without_controls
from imgsvc.domain.rendering import EXTENSIONS, MEDIA_TYPES, OutputFacts
from imgsvc.errors import InvalidRequest, NotFound

routes = web.RouteTableDef()

INDEX = "{index:0|[1-9][0-9]{0,8}}"
"""In a path: an index has one spelling, as the URLs that are given out have it."""


@routes.get(f"/api/v1/jobs/{{id}}/images/{INDEX}/outputs/{{variant}}")
async def get_output(request: web.Request) -> web.StreamResponse:
    check_query(request.query, "inline")
    context = request.app[CONTEXT]
    image = await find_image(context, request)
    output = next((o for o in image.outputs if o.variant == request.match_info["variant"]), None)
    if output is None:
        raise NotFound("The image has no such output.")
    return output_response(request, image, output)


def output_file(context: Context, image: Image, output: OutputFacts) -> Path:
    return context.blobs.output_path(
        image.job_id, image.id, image.claim, output.variant, output.format
    )


def output_response(request: web.Request, image: Image, output: OutputFacts) -> web.StreamResponse:
    """The file, with conditional requests and ranges by aiohttp, and what we know of it. An image
    that has outputs has all of them, so one alone is that of a recipe of one variant.
    """
    stem = without_controls(PurePosixPath(image.name).stem)
    if len(image.outputs) > 1:
        stem += f"-{output.variant}"
    name = f"{stem}.{EXTENSIONS[output.format]}"
    digest = base64.b64encode(bytes.fromhex(output.sha256)).decode()
    headers = {
        "Content-Type": MEDIA_TYPES[output.format],
        "Content-Disposition": disposition(read_kind(request), name),
        "Repr-Digest": f"sha-256=:{digest}:",
        "Cache-Control": "private, max-age=0, must-revalidate",
        "X-Content-Type-Options": "nosniff",
    }
    path = output_file(request.app[CONTEXT], image, output)
    return FileAnswer(path, headers)


def read_kind(request: web.Request) -> str:
    """Of the Content-Disposition. Raises InvalidRequest."""
    match request.query.get("inline"):
        case None | "0":
            return "attachment"
        case "1":
            return "inline"
    raise InvalidRequest.at("/inline", "1 or 0")


def disposition(kind: str, name: str) -> str:
    """A Content-Disposition value after RFC 6266: an ASCII name, and the real one if it differs."""
    plain = re.sub(r"[^\x20-\x7e]|[\"\\%]", "_", name)
    value = f'{kind}; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe='')}"
    return value


async def find_image(context: Context, request: web.Request) -> Image:
    """Raises NotFound."""
    match = request.match_info
    return await context.store.image(match["id"], int(match["index"]))
