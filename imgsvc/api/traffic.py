"""Requests, counted by the templates of their routes: what was asked for is nobody's label."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import hdrs, web

from imgsvc.telemetry.metrics import Metrics

UNKNOWN = "unknown"
"""The route of what leads nowhere, and of what could not be read."""

BROKEN_OFF = "broken_off"
"""The status of a request that was never answered to its end."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ROUTE = web.RequestKey("route", str)


class Exchange:
    """A request, and what it is answered; None until that has been sent."""

    def __init__(self, request: web.BaseRequest) -> None:
        self.request = request
        self.response: web.StreamResponse | None = None


class Traffic:
    """Counts every request that a connection has brought, whoever answers it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @contextmanager
    def watching(self, request: web.BaseRequest) -> Iterator[Exchange]:
        """From the request's head to the end of its answer."""
        exchange, began_s = Exchange(request), time.perf_counter()
        self._metrics.requests_open.inc()
        try:
            yield exchange
        finally:
            self._metrics.requests_open.dec()
            self._count(exchange, time.perf_counter() - began_s)

    def _count(self, exchange: Exchange, duration_s: float) -> None:
        metrics, request, response = self._metrics, exchange.request, exchange.response
        method = request.method if request.method in _METHODS else "other"
        route = request.get(_ROUTE, UNKNOWN)
        status = BROKEN_OFF if response is None else str(response.status)
        metrics.requests.labels(method, route, status).inc()
        metrics.request_s.labels(method, route).observe(duration_s)
        if request.body_exists:
            metrics.received_bytes.inc(request.content.total_raw_bytes)
        metrics.sent_bytes.inc(request.writer.output_size + _file_bytes(request, response))


def note_route(request: web.Request) -> None:
    """Remember the template of the request's route, where it has one."""
    resource = request.match_info.route.resource
    if resource is not None:
        request[_ROUTE] = resource.canonical


def _file_bytes(request: web.BaseRequest, response: web.StreamResponse | None) -> int:
    """What the system has sent of a file by itself."""
    if not isinstance(response, web.FileResponse) or request.method == hdrs.METH_HEAD:
        return 0
    return response.content_length or 0
