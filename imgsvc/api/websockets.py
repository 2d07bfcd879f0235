"""WebSockets: messages to a reader who may be slow, or gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from struct import pack

from aiohttp import WSCloseCode, web

from imgsvc.errors import ImgsvcError
from imgsvc.progress.hub import HubClosed

PING_S = 20.0
"""Seconds between pings; aiohttp closes when the pong is half as many seconds late."""

CLOSE_S = 2.0
"""How long the other side has to say that it closes too."""

Message = tuple[int, str]
"""A message's seq and its text."""

Batch = list[Message]
"""Messages that go out together."""


def wants_websocket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


async def serve_websocket(
    request: web.Request, batches: AsyncGenerator[Batch, None]
) -> web.WebSocketResponse:
    """Send what there is and close: with 1000 at its end, with 1001 when the server stops."""
    socket = web.WebSocketResponse(
        heartbeat=PING_S, timeout=CLOSE_S, max_msg_size=4096, compress=False
    )
    await socket.prepare(request)
    reading = asyncio.create_task(_read_on(socket), name="websocket-reader")
    sending = asyncio.create_task(_send_all(request, socket, batches), name="websocket-sender")
    try:
        await asyncio.wait({reading, sending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        reading.cancel()
        sending.cancel()
        await asyncio.gather(reading, sending, return_exceptions=True)
    if not sending.cancelled():
        # Only here, where nobody reads any more, does it wait for the other side's close.
        code, reason = sending.result()
        await socket.close(code=code, message=reason)
    return socket


async def _read_on(socket: web.WebSocketResponse) -> None:
    """Nothing is expected; reading keeps pongs and closes coming in."""
    async for _ in socket:
        pass


async def _send_all(
    request: web.Request, socket: web.WebSocketResponse, batches: AsyncGenerator[Batch, None]
) -> tuple[WSCloseCode, bytes]:
    """With what to close. A batch goes out in one write: with hundreds of readers, writes are
    what costs.
    """
    try:
        async with aclosing(batches):
            async for batch in batches:
                transport = request.transport
                if socket.closed or transport is None or transport.is_closing():
                    break
                transport.write(b"".join(_frame(text) for _, text in batch))
                await request.writer.drain()  # waits for a reader that does not keep up
    except HubClosed:
        return WSCloseCode.GOING_AWAY, b"the server stops"
    except ConnectionError:  # nobody is there to be told with what
        pass
    except ImgsvcError as exc:  # the job was deleted before its snapshot could be taken
        return WSCloseCode.INTERNAL_ERROR, exc.message.encode()[:120]
    return WSCloseCode.OK, b""


def _frame(text: str) -> bytes:
    """A whole text message as a server sends it: final, unmasked (RFC 6455, 5.2)."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return pack("!BB", 0x81, size) + payload
    if size < 1 << 16:
        return pack("!BBH", 0x81, 126, size) + payload
    return pack("!BBQ", 0x81, 127, size) + payload
