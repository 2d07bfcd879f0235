"""The server's metrics, for Prometheus."""

from __future__ import annotations

import re

from aiohttp import hdrs, web

from imgsvc.api.context import CONTEXT
from imgsvc.api.pages import check_query

routes = web.RouteTableDef()

OPENMETRICS, PLAIN = "application/openmetrics-text", "text/plain"

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
    qualities: dict[str, float] = {}
    for choice in accept.split(","):
        media_type, *parameters = choice.split(";")
        name = media_type.strip().lower()
        qualities[name] = max(_quality(parameters), qualities.get(name, 0.0))

    def wanted(media_type: str) -> float:
        """By the narrowest range that it is in."""
        ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
        return next((qualities[name] for name in ranges if name in qualities), 0.0)

    return wanted(PLAIN) > wanted(OPENMETRICS)


def _quality(parameters: list[str]) -> float:
    """1.0 where nothing readable is said."""
    found = (match for text in parameters if (match := _QUALITY.fullmatch(text)))
    return next((float(match[1]) for match in found), 1.0)
