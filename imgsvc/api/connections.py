"""Connections below the application: what cannot be parsed is answered as a problem too, and
nobody holds one for ever who neither asks nor reads.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.web_protocol import RequestHandler

from imgsvc.api.crowd import Crowd
from imgsvc.api.problems import problem_document, problem_response, translate_http_error
from imgsvc.api.traffic import Traffic
from imgsvc.domain.ids import new_id
from imgsvc.errors import (
    Internal,
    MalformedRequest,
    RateLimited,
    RequestTimeout,
    UnsupportedMediaType,
)
from imgsvc.telemetry.logs import get_logger

_Handler = Callable[[Any], Awaitable[web.StreamResponse]]

log = get_logger(__name__)


HEAD_S = 30.0
"""How long the head of a request may take from its first byte to its last."""

REFUSED_S = 2.0
"""How long one connection too many may take to ask for something, to be refused it."""

UNREAD_S = 60.0
"""How long a client may read nothing of what is sent to it, or not say that it has it."""

MAX_REFUSED = 64
"""Connections that are being refused; one more is closed without a word."""


class Connection(RequestHandler):
    """One client's connection; aiohttp asks it for an answer where no handler could give one.

    is_refused: there is no place for it; whatever it asks for is answered with that.
    """

    __slots__ = ("_bound", "_crowd", "_head_timer", "_refused", "_traffic", "is_refused")

    def __init__(
        self,
        manager: web.Server,
        *,
        crowd: Crowd,
        traffic: Traffic,
        refused: set[Connection],
        **options: Any,
    ) -> None:
        super().__init__(manager, **options)
        self._bound: asyncio.Task[Any] | None = None
        self._crowd = crowd
        self._traffic = traffic
        self._refused = refused
        self._head_timer: asyncio.TimerHandle | None = None
        self.is_refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        _end_unread(transport.get_extra_info("socket"))
        self.is_refused = not self._crowd.enter(self)
        if self.is_refused:
            self._refused.add(self)
            self._head_timer = self._loop.call_later(REFUSED_S, self.drop)
            if len(self._refused) > MAX_REFUSED:
                self.drop()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._crowd.leave(self)
        self._refused.discard(self)
        self._cancel_head_timer()
        if self._bound is not None:
            self._bound.cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waiter is None or self._waiter.done():
            self._cancel_head_timer()
        elif self._head_timer is None and data.strip():  # old clients end a body with a line
            self._head_timer = self._loop.call_later(HEAD_S, self._give_up_head)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._crowd.clog(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._crowd.unclog(self)

    def unsent_bytes(self) -> int:
        transport = cast("asyncio.WriteTransport | None", self.transport)
        return 0 if transport is None else transport.get_write_buffer_size()

    def retire(self) -> None:
        self.force_close()

    def drop(self) -> None:
        if self.transport is not None:
            cast("asyncio.WriteTransport", self.transport).abort()

    async def _handle_request(
        self, request: web.BaseRequest, *args: Any, **kwargs: Any
    ) -> tuple[web.StreamResponse, bool]:
        """From the handler's begin to the end of what it answers."""
        self._crowd.begin(self)
        try:
            with self._traffic.watching(request) as exchange:
                answered = await super()._handle_request(request, *args, **kwargs)
                response, is_broken_off = answered
                exchange.response = None if is_broken_off else response
                return answered
        finally:
            self._crowd.end(self)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up_head(self) -> None:
        """Nothing was asked yet, so there is nobody but us to answer."""
        self._head_timer = None
        if self.transport is None or self._waiter is None or self._waiter.done():
            return
        log.info("request_refused", status=408, reason="head")
        cast("asyncio.WriteTransport", self.transport).write(_late_head())
        self.force_close()

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


def _end_unread(sock: socket.socket | None) -> None:
    """The system ends a connection whose other side takes nothing, whoever writes to it."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux has it
    if sock is not None and option is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, option, round(UNREAD_S * 1000))


def _late_head() -> bytes:
    request_id = new_id()
    problem = problem_document(RequestTimeout("The request's head took too long to arrive."), "")
    body = json.dumps(problem).encode()
    head = (
        "HTTP/1.1 408 Request Timeout",
        "Content-Type: application/problem+json; charset=utf-8",
        f"Content-Length: {len(body)}",
        f"X-Request-ID: {request_id}",
        "Connection: close",
    )
    return "\r\n".join([*head, "", ""]).encode() + body


class _Connections(web.Server):
    """Makes a Connection of every socket accepted."""

    crowd: Crowd
    traffic: Traffic
    refused: set[Connection]

    def __call__(self) -> Connection:
        return Connection(
            self,
            crowd=self.crowd,
            traffic=self.traffic,
            refused=self.refused,
            loop=self._loop,
            **self._kwargs,
        )


class Runner(web.AppRunner):
    """aiohttp's runner with our connections.

    crowd: what they have in common. traffic: where their requests are counted.
    """

    __slots__ = ("_crowd", "_traffic")

    def __init__(
        self, app: web.Application, *, crowd: Crowd, traffic: Traffic, **options: Any
    ) -> None:
        super().__init__(app, **options)
        self._crowd = crowd
        self._traffic = traffic

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        connections = _Connections(
            _translating(made.request_handler), request_factory=made.request_factory, **self._kwargs
        )
        connections.crowd = self._crowd
        connections.traffic = self._traffic
        connections.refused = set()
        return connections


def _translating(handle: _Handler) -> _Handler:
    """`handle`, with the errors that aiohttp raises before any middleware runs as problems."""

    async def translated(request: web.Request) -> web.StreamResponse:
        connection = cast("Connection", request.protocol)
        if connection.is_refused:
            return _refusal(request)
        try:
            return await handle(request)
        except web.HTTPException as exc:
            response = translate_http_error(exc, request.path)
            if response is None:
                raise
            response.headers["X-Request-ID"] = new_id()
            return response

    return translated


def _refusal(request: web.BaseRequest) -> web.Response:
    response = problem_response(RateLimited("Too many connections are open."), request.path)
    response.headers["X-Request-ID"] = new_id()
    response.force_close()
    return response
