"""One server as HTTP sees it: requests in, answers or ClientErrors out."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Self, cast
from urllib.parse import quote

import aiohttp
from yarl import URL

from imgsvc import __version__
from imgsvc.client.answers import JOB_KEY, Job
from imgsvc.client.errors import ApiError, ClientError, ServerUnreachable
from imgsvc.domain.logins import without_login
from imgsvc.domain.retry_after import read_retry_after
from imgsvc.domain.times import now_ms
from imgsvc.errors import Fault

DEFAULT_SERVER = "http://127.0.0.1:8080"

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 120.0
"""Longest silence of the server within an answer."""

LOOK_TIMEOUT_S = 30.0
"""The same where it is only asked what it has in its database."""

HEARTBEAT_S = 20.0
"""A WebSocket whose server has not answered a ping for half as long is broken."""

HANDSHAKE_TIMEOUT_S = 20.0
"""Longest wait for a WebSocket: some proxies answer plain requests alone."""

READY_TIMEOUT_S = 10.0
"""Longest wait for a server to say whether it is ready."""

ANSWER_TIMEOUT_S = 300.0
"""Longest wait for the answer to an upload, from its last byte on: the server makes it durable."""

NO_IMGSVC = "what answers there is no imgsvc"

_OF_GATEWAYS = frozenset({401, 403, 404, 407, 408, 413, 414, 429, 431})
"""What a gateway before an imgsvc may say of its own, as it may the statuses from 500 on."""

_MAX_PROBLEM_BYTES = 32 << 20
"""A product list may have thousands of faults."""


class Connection:
    """A pool of connections to one server.

    server: http(s) URL, with a path if the API stands below one. Raises ClientError if it
        is none.
    api_key: sent with every request; None sends none. Raises ClientError if it cannot be sent.
    agent: what the program calls itself.
    """

    def __init__(self, server: str, api_key: str | None, agent: str) -> None:
        self.server = server.rstrip("/")
        try:
            self._base = URL(self.server)
        except ValueError as exc:
            raise ClientError(f"{without_login(server)} is not a URL.") from exc
        if self._base.scheme not in {"http", "https"} or not self._base.host:
            raise ClientError(
                f"{without_login(server)} is not a server's URL, such as {DEFAULT_SERVER}."
            )
        self._headers = {"User-Agent": f"{agent}/{__version__}"}
        if api_key := (api_key or "").strip():
            if not api_key.isprintable():
                raise ClientError("The API key has characters that none can have.")
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S
        )
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def url(self, *parts: str | int) -> URL:
        """URL of a resource of the native API; `parts` are path segments, not yet quoted."""
        path = "/".join(quote(str(part), safe="") for part in ("api", "v1", *parts))
        return self._base.joinpath(path, encoded=True)

    @asynccontextmanager
    async def request(
        self, method: str, *parts: str | int, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a request, its body unread. Raises ApiError, ServerUnreachable.

        options: those of aiohttp's `ClientSession.request`.
        """
        with self._translated():
            async with self._open_session.request(method, self.url(*parts), **options) as response:
                if response.status >= 400:
                    raise await self._refusal(response)
                yield response

    async def json(self, method: str, *parts: str | int, key: str, **options: Any) -> Any:
        """The JSON object of an answer. key: one that an imgsvc's has. Raises as `request`."""
        if method == "GET":
            options["timeout"] = aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=LOOK_TIMEOUT_S
            )
        async with self.request(method, *parts, **options) as response:
            return await self._read_object(response, key)

    async def job(self, method: str, *parts: str, **options: Any) -> Job:
        """The job that is the answer to a request to jobs/…. Raises as `request`."""
        return cast("Job", await self.json(method, "jobs", *parts, key=JOB_KEY, **options))

    async def delete(self, *parts: str) -> None:
        """Raises as `request`."""
        async with self.request("DELETE", *parts) as response:
            if response.status != HTTPStatus.NO_CONTENT:
                raise ServerUnreachable(self.server, NO_IMGSVC)

    async def problems(self) -> list[str]:
        """What a server says that is not ready; nothing when it is. Raises ServerUnreachable."""
        url = self._base.joinpath("readyz")
        timeout = aiohttp.ClientTimeout(total=READY_TIMEOUT_S)
        try:
            with self._translated():
                async with self._open_session.get(url, timeout=timeout) as response:
                    document = await self._read_json(response)
        except TimeoutError as exc:
            raise ServerUnreachable(self.server, "it has stopped answering") from exc
        problems = document.get("problems") if isinstance(document, Mapping) else None
        return [str(problem) for problem in problems] if isinstance(problems, list) else []

    async def upload(
        self,
        *parts: str | int,
        key: str,
        content_type: str,
        body: AsyncIterable[bytes],
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Any:
        """POST a stream, which may take as long as it takes. Returns and raises as `json`."""
        async with self.send(
            *parts, content_type=content_type, body=body, headers=headers
        ) as response:
            return await self._read_object(response, key)

    @asynccontextmanager
    async def send(
        self,
        *parts: str | int,
        content_type: str,
        body: AsyncIterable[bytes],
        headers: Mapping[str, str] = MappingProxyType({}),
        params: Mapping[str, str] = MappingProxyType({}),
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a stream that is POSTed, its body unread; as `upload` otherwise."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as deadline:

                async def watched() -> AsyncIterator[bytes]:
                    async for chunk in body:
                        yield chunk
                    deadline.reschedule(loop.time() + ANSWER_TIMEOUT_S)

                async with self.request(
                    "POST",
                    *parts,
                    data=watched(),
                    params=params,
                    headers={"Content-Type": content_type, **headers},
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
                ) as response:
                    yield response
        except TimeoutError as exc:
            raise ServerUnreachable(self.server, "it has stopped answering") from exc

    @asynccontextmanager
    async def websocket(self, *parts: str | int) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket that is watched by pings. Raises ApiError, ServerUnreachable."""
        with self._translated():
            try:
                async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
                    opened = await self._open_session.ws_connect(
                        self.url(*parts), heartbeat=HEARTBEAT_S, max_msg_size=0
                    )
            except TimeoutError as exc:
                raise ServerUnreachable(self.server, "it has stopped answering") from exc
            async with opened as socket:
                yield socket

    async def _read_object(self, response: aiohttp.ClientResponse, key: str) -> Any:
        document = await self._read_json(response)
        if not isinstance(document, Mapping) or key not in document:
            raise ServerUnreachable(self.server, NO_IMGSVC)
        return document

    async def _read_json(self, response: aiohttp.ClientResponse) -> Any:
        try:
            return await response.json()
        except (aiohttp.ContentTypeError, ValueError) as exc:
            raise ServerUnreachable(self.server, NO_IMGSVC) from exc

    async def _refusal(self, response: aiohttp.ClientResponse) -> ClientError:
        problem, status = await _read_problem(response), response.status
        if not problem and status < 500 and status not in _OF_GATEWAYS:
            return ServerUnreachable(self.server, NO_IMGSVC)
        there = f"What answers at {without_login(self.server)}"
        retry_after_s = read_retry_after(response.headers.get("Retry-After", ""), now_ms())
        return ApiError(
            code=problem.get("code") or f"http_{status}",
            status=status,
            detail=str(
                problem.get("detail")
                or f"{there} is no imgsvc, or a gateway before one: it says {status}."
            ),
            errors=[
                Fault(str(fault.get("pointer", "")), str(fault.get("detail", "")))
                for fault in problem.get("errors") or ()
            ],
            retry_after_s=None if retry_after_s is None else math.ceil(retry_after_s),
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except aiohttp.WSServerHandshakeError as exc:
            detail = f"The server refused the connection ({exc.status})."
            raise ApiError(f"http_{exc.status}", exc.status, detail) from exc
        except aiohttp.ClientError as exc:
            raise ServerUnreachable(self.server, _reason(exc)) from exc

    @property
    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("use the client within `async with`")
        return self._session


async def _read_problem(response: aiohttp.ClientResponse) -> Mapping[str, Any]:
    """Empty where the answer holds none, or another program's."""
    raw = bytearray()
    while len(raw) < _MAX_PROBLEM_BYTES and (chunk := await response.content.readany()):
        raw += chunk
    try:
        problem = json.loads(raw)
    except ValueError:
        return {}
    kind = problem.get("type") if isinstance(problem, Mapping) else None
    return problem if str(kind).startswith("urn:imgsvc:problem:") else {}


def _reason(exc: aiohttp.ClientError) -> str:
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "its host name is not known"
    if isinstance(exc, aiohttp.ConnectionTimeoutError):
        return "it does not accept a connection in time"
    if isinstance(exc, aiohttp.ServerTimeoutError):
        return "it has stopped answering"
    if isinstance(exc, aiohttp.ClientConnectorError):
        if isinstance(exc.os_error, ConnectionRefusedError):
            return "the connection is refused"
        return os.strerror(exc.os_error.errno) if exc.os_error.errno else str(exc.os_error)
    if isinstance(
        exc, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | aiohttp.ClientPayloadError
    ):
        return "the connection broke"
    return str(exc) or type(exc).__name__
