"""Absolute URLs, for files and programs that are read away from this server."""

from __future__ import annotations

from aiohttp import web

from imgsvc.api.context import CONTEXT


def base_url(request: web.Request) -> str:
    """`server.base_url` or the host that was asked, without a slash at the end."""
    base = request.app[CONTEXT].settings.server.base_url
    return (base or f"{request.scheme}://{request.host}").rstrip("/")


def absolute_url(request: web.Request, path: str) -> str:
    """`path`, which is absolute, under the base URL."""
    return f"{base_url(request)}{path}"
