"""The server's metrics, for Prometheus."""

from __future__ import annotations

import re

from aiohttp import hdrs, web

from imgsvc.api.context import CONTEXT
from imgsvc.api.pages import check_query

routes = web.RouteTableDef()

OPENMETRICS = frozenset({"application/openmetrics-text", "application/*", "*/*"})
PLAIN = frozenset({"text/plain", "text/*"})

_QUALITY = re.compile(r"\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*", re.IGNORECASE)


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    check_query(request.query)
    accept = ",".join(request.headers.getall(hdrs.ACCEPT, ()))
    text, media_type = await request.app[CONTEXT].exposition.expose(plain=prefers_plain(accept))
    headers = {hdrs.CONTENT_TYPE: media_type, hdrs.VARY: hdrs.ACCEPT}
    return web.Response(body=text, headers=headers)


def prefers_plain(accept: str) -> bool:
    """Whether who sends this Accept header (RFC 9110, 12.5.1) would rather have the plain format.
    OpenMetrics is for everybody else, also for those who want neither.
    """
    openmetrics = plain = 0.0
    for choice in accept.split(","):
        media_type, *parameters = choice.split(";")
        name = media_type.strip().lower()
        if name in OPENMETRICS:
            openmetrics = max(openmetrics, _quality(parameters))
        elif name in PLAIN:
            plain = max(plain, _quality(parameters))
    return plain > openmetrics


def _quality(parameters: list[str]) -> float:
    """1.0 where nothing readable is said."""
    found = (match for text in parameters if (match := _QUALITY.fullmatch(text)))
    return next((float(match[1]) for match in found), 1.0)
