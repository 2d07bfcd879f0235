"""Following a job over its WebSocket, across broken connections."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial
from typing import Any

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
    as at some proxies, they are a `snapshot` for every look at the job, and have no `seq`; nor has
    the `end` where none gets through beyond its `snapshot`.
    """
    tries = 0
    patience.note_answer()
    while True:
        job: Any = None
        is_told = False
        with suppress(ServerUnreachable, ApiError):  # it is the job's own answer that says why
            async with connection.websocket("jobs", job_id, "events") as socket:
                async for frame in socket:
                    if frame.type is not aiohttp.WSMsgType.TEXT:
                        continue
                    message: ProgressMessage = frame.json()
                    job, is_told = message["job"], message["type"] != "snapshot"
                    yield message
                    if message["type"] == "end":
                        return
        if job is not None:
            patience.note_answer()  # until it broke: there may be nothing to tell for long
        else:
            job = await patience.insist(partial(connection.job, "GET", job_id))
            yield {"type": "snapshot", "seq": None, "job": job}
        if not is_told and job["status"] in FINAL_STATUSES:
            yield {"type": "end", "seq": None, "job": job}
            return
        tries = 1 if is_told else tries + 1
        await asyncio.sleep(pause_s(tries, random.random()))  # noqa: S311  (no secret)
