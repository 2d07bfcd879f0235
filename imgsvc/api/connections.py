"""Connections below the application: what cannot be parsed is answered as a problem too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.web_protocol import RequestHandler

from imgsvc.api.problems import problem_response, translate_http_error
from imgsvc.domain.ids import new_id
from imgsvc.errors import Internal, MalformedRequest, UnsupportedMediaType
from imgsvc.telemetry.logs import get_logger

_Handler = Callable[[Any], Awaitable[web.StreamResponse]]

log = get_logger(__name__)


class Connection(RequestHandler):
    """One client's connection; aiohttp asks it for an answer where no handler could give one."""

    __slots__ = ("_bound", "_is_refused")

    def __init__(self, manager: web.Server, *, is_refused: bool, **options: Any) -> None:
        super().__init__(manager, **options)
        self._bound: asyncio.Task[Any] | None = None
        self._is_refused = is_refused

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._is_refused:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._bound is not None:
            self._bound.cancel()

    @contextmanager
    def binding(self, task: asyncio.Task[Any] | None) -> Iterator[None]:
        """The task is cancelled when the connection is lost within the block."""
        self._bound = task
        try:
            yield
        finally:
            self._bound = None

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        """One line for a body that fell apart while nobody was reading it any more."""
        log.info("connection_broken", reason=type(kwargs.get("exc_info")).__name__)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A problem document that ends the connection. Raises ConnectionError in mid-answer."""
        if request.writer.output_size > 0:
            raise ConnectionError("Half an answer was sent already.")
        request_id = new_id()
        log.info(
            "request_refused",
            request_id=request_id,
            status=status,
            reason=type(exc).__name__ if exc else None,
        )
        if isinstance(exc, ContentEncodingError):
            detail = "A body may be packed with gzip or deflate, nothing else."
            response = problem_response(UnsupportedMediaType(detail), request.path)
        elif status == HTTPStatus.BAD_REQUEST:
            response = problem_response(MalformedRequest("This is not valid HTTP."), request.path)
        else:
            response = problem_response(Internal("The server could not answer."), request.path)
        response.headers["X-Request-ID"] = request_id
        response.force_close()
        return response


@contextmanager
def ending_with_client(request: web.Request) -> Iterator[None]:
    """The block is cancelled when the client goes away: nobody else wants what is made there.

    Raises ConnectionResetError when it is gone already.
    """
    if request.transport is None:
        raise ConnectionResetError("The client has gone.")
    connection = cast("Connection", request.protocol)
    with connection.binding(asyncio.current_task()):
        yield


class _Connections(web.Server):
    """Makes a Connection of every socket accepted, and closes those that are too many."""

    most = 0

    def __call__(self) -> Connection:
        is_refused = len(self.connections) >= self.most
        return Connection(self, is_refused=is_refused, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with our connections.

    max_connections: more at a time are closed as they come; files need descriptors too.
    """

    __slots__ = ("_max_connections",)

    def __init__(self, app: web.Application, *, max_connections: int, **options: Any) -> None:
        super().__init__(app, **options)
        self._max_connections = max_connections

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        connections = _Connections(
            _translating(made.request_handler), request_factory=made.request_factory, **self._kwargs
        )
        connections.most = self._max_connections
        return connections


def _translating(handle: _Handler) -> _Handler:
    """`handle`, with the errors that aiohttp raises before any middleware runs as problems."""

    async def translated(request: web.Request) -> web.StreamResponse:
        try:
            return await handle(request)
        except web.HTTPException as exc:
            response = translate_http_error(exc, request.path)
            if response is None:
                raise
            response.headers["X-Request-ID"] = new_id()
            return response

    return translated
