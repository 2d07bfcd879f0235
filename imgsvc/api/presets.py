"""Presets over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from imgsvc.api.context import CONTEXT
from imgsvc.api.json_bodies import read_json_body
from imgsvc.api.pages import check_query
from imgsvc.domain.preset import Preset
from imgsvc.domain.times import rfc3339
from imgsvc.service.presets import check_own_name

routes = web.RouteTableDef()

MAX_BODY_BYTES = 64 << 10
"""Several times what 32 variants with every field need."""


@routes.get("/api/v1/presets")
async def list_presets(request: web.Request) -> web.Response:
    check_query(request.query)
    presets = await request.app[CONTEXT].presets.all()
    # in a thread: a thousand long recipes take a moment
    return web.json_response(text=await asyncio.to_thread(_dump_list, presets))


@routes.get("/api/v1/presets/{name}")
async def get_preset(request: web.Request) -> web.Response:
    check_query(request.query)
    preset = await request.app[CONTEXT].presets.get(request.match_info["name"])
    return web.json_response(_document(preset))


@routes.put("/api/v1/presets/{name}")
async def save_preset(request: web.Request) -> web.Response:
    check_query(request.query)
    name = request.match_info["name"]
    check_own_name(name)  # first, since the body does not matter then
    document = await read_json_body(request, MAX_BODY_BYTES)
    preset, is_new = await request.app[CONTEXT].presets.save(name, document)
    if not is_new:
        return web.json_response(_document(preset))
    headers = {"Location": f"/api/v1/presets/{name}"}
    return web.json_response(_document(preset), status=201, headers=headers)


@routes.delete("/api/v1/presets/{name}")
async def delete_preset(request: web.Request) -> web.Response:
    check_query(request.query)
    await request.app[CONTEXT].presets.delete(request.match_info["name"])
    return web.Response(status=204)


def _dump_list(presets: Sequence[Preset]) -> str:
    return json.dumps({"items": [_document(preset) for preset in presets]})


def _document(preset: Preset) -> dict[str, Any]:
    return {
        "name": preset.name,
        "readonly": preset.readonly,
        "recipe": json.loads(preset.recipe),
        "updated_at": rfc3339(preset.updated_at),
    }
