"""Following a job over its WebSocket, across broken connections."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial

import aiohttp

from imgsvc.client.answers import FINAL_STATUSES, ProgressMessage
from imgsvc.client.connection import Connection
from imgsvc.client.errors import ApiError, ServerUnreachable
from imgsvc.client.patience import Patience, pause_s


async def follow(
    connection: Connection, job_id: str, patience: Patience
) -> AsyncGenerator[ProgressMessage, None]:
    """Messages, until `end`, of a job that was there just now. Raises ServerUnreachable, ApiError
    (job deleted).

    After a broken connection they begin with a `snapshot` again. Where no WebSocket gets through,
    or none beyond its first message, as at some proxies, there is a `snapshot` for every look at
    the job, which has no `seq`, nor has the `end` then.
    """
    tries = 0
    patience.note_answer()
    while True:
        is_heard = is_told = False
        with suppress(ServerUnreachable, ApiError):  # it is the job's own answer that says why
            async with connection.websocket("jobs", job_id, "events") as socket:
                async for frame in socket:
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        continue
                    message: ProgressMessage = frame.json()
                    is_heard = True
                    is_told = message["type"] != "snapshot"
                    yield message
                    if message["type"] == "end":
                        return
        if is_heard:
            patience.note_answer()  # until it broke: there may be nothing to tell for long
        if is_told:
            tries = 0
        else:
            job = await patience.insist(partial(connection.json, "GET", "jobs", job_id))
            yield {"type": "snapshot", "seq": None, "job": job}
            if job["status"] in FINAL_STATUSES:
                yield {"type": "end", "seq": None, "job": job}
                return
        tries += 1
        await asyncio.sleep(pause_s(tries, random.random()))  # noqa: S311  (no secret)
