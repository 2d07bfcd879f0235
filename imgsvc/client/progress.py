"""Following a job over its WebSocket, across broken connections."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator

import aiohttp

from imgsvc.client.answers import ProgressMessage
from imgsvc.client.connection import Connection
from imgsvc.client.errors import ApiError, ServerUnreachable
from imgsvc.client.patience import Patience, pause_s


async def follow(
    connection: Connection, job_id: str, patience: Patience
) -> AsyncGenerator[ProgressMessage, None]:
    """Messages of a job until `end`. Raises ServerUnreachable, ApiError (job deleted).

    After a broken connection they begin with a `snapshot` again.
    """
    tries = 0
    while True:
        try:
            async with connection.websocket("jobs", job_id, "events") as socket:
                async for frame in socket:
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        continue
                    message: ProgressMessage = frame.json()
                    tries = 0
                    patience.note_answer()
                    yield message
                    if message["type"] == "end":
                        return
        except ServerUnreachable as exc:
            if patience.is_at_its_end:
                raise
            patience.note_trouble(exc)
        except ApiError:
            await connection.json("GET", "jobs", job_id)  # a refused handshake does not say why
            raise
        tries += 1
        await asyncio.sleep(pause_s(tries, random.random()))  # noqa: S311  (no secret)
