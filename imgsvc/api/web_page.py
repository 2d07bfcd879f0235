"""The web page: its files as they came with the program, and what browsers are told to refuse.

The page is a guest of the native API like any other program; nothing here knows of jobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from imgsvc.api.contents import Content
from imgsvc.errors import NotFound

routes = web.RouteTableDef()

FOLDER = Path(__file__).with_name("web")

START = "index.html"

_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}

_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    # No text ever becomes markup: where browsers know this, assigning one to innerHTML fails.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)

_HEADERS = {
    "Content-Security-Policy": "; ".join(_POLICY),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}


FILES = web.AppKey("page_files", Mapping[str, Content])


async def load_page(app: web.Application) -> None:
    """Read the files once, at the start."""
    app[FILES] = await asyncio.to_thread(read_page)


def read_page() -> dict[str, Content]:
    """The page's files by their names. Blocking."""
    return {
        path.name: Content.of(path.read_bytes(), _MEDIA_TYPES[path.suffix], _HEADERS)
        for path in FOLDER.iterdir()
        if path.suffix in _MEDIA_TYPES
    }


@routes.get("/")
async def get_page(request: web.Request) -> web.Response:
    return _answer(request, START)


@routes.get("/web/{name}")
async def get_page_file(request: web.Request) -> web.Response:
    return _answer(request, request.match_info["name"])


def _answer(request: web.Request, name: str) -> web.Response:
    """Raises NotFound."""
    file = request.app[FILES].get(name)
    if file is None:
        raise NotFound("The page has no such file.")
    return file.answer(request)
