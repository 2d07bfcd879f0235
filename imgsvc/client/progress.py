"""Following a job over its WebSocket, across broken connections."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator

import aiohttp

from imgsvc.client.answers import ProgressMessage
from imgsvc.client.connection import Connection
from imgsvc.client.errors import ServerUnreachable

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
PATIENCE_S = 120.0
"""How long a server that was there may be away, as for an update, before we give up."""


def pause_s(tries: int, jitter: float) -> float:
    """Seconds to wait after so many failed connections in a row (1 or more).

    jitter: 0 to 1; spreads clients that lost the same server.
    """
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(tries - 1, 10)) * (0.5 + jitter / 2))


async def follow(connection: Connection, job_id: str) -> AsyncGenerator[ProgressMessage, None]:
    """Messages of a job until `end`. Raises ServerUnreachable, ApiError (job deleted).

    After a broken connection they begin with a `snapshot` again.
    """
    loop = asyncio.get_running_loop()
    tries = 0
    last_heard_s: float | None = None
    while True:
        try:
            async with connection.websocket("jobs", job_id, "events") as socket:
                async for frame in socket:
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        continue
                    message: ProgressMessage = frame.json()
                    tries, last_heard_s = 0, loop.time()
                    yield message
                    if message["type"] == "end":
                        return
        except ServerUnreachable:
            if last_heard_s is None or loop.time() - last_heard_s > PATIENCE_S:
                raise
        tries += 1
        await asyncio.sleep(pause_s(tries, random.random()))  # noqa: S311  (no secret)
