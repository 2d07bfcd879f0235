"""Presets over HTTP."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from imgsvc.api.context import CONTEXT
from imgsvc.errors import PresetReadonly
from imgsvc.recipes.model import Recipe

routes = web.RouteTableDef()


@routes.get("/api/v1/presets")
async def list_presets(request: web.Request) -> web.Response:
    presets = request.app[CONTEXT].presets.all()
    return web.json_response({"items": [_document(n, r) for n, r in sorted(presets.items())]})


@routes.get("/api/v1/presets/{name}")
async def get_preset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    return web.json_response(_document(name, request.app[CONTEXT].presets.get(name)))


@routes.put("/api/v1/presets/{name}")
@routes.delete("/api/v1/presets/{name}")
async def change_preset(request: web.Request) -> web.Response:
    """There are only built-in presets in this version. Raises PresetReadonly, NotFound."""
    request.app[CONTEXT].presets.get(request.match_info["name"])
    raise PresetReadonly("Built-in presets cannot be changed.")


def _document(name: str, recipe: Recipe) -> dict[str, Any]:
    return {
        "name": name,
        "readonly": True,
        "recipe": recipe.model_dump(mode="json", exclude_unset=True),
    }
