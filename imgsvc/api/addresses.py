"""Absolute URLs, for files and programs that are read away from this server."""

from __future__ import annotations

from aiohttp import web

from imgsvc.api.context import CONTEXT


def absolute_url(request: web.Request, path: str) -> str:
    """`path`, which is absolute, under `server.base_url` or the host that was asked."""
    base = request.app[CONTEXT].settings.server.base_url
    return f"{(base or f'{request.scheme}://{request.host}').rstrip('/')}{path}"
