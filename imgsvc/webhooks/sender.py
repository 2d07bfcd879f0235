"""Sends one message, and says what came of it. Nothing a receiver does raises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO

import aiohttp

from imgsvc import __version__
from imgsvc.domain.retry_after import read_retry_after
from imgsvc.domain.webhook import DeliveryError
from imgsvc.net.guard import Blocked, Guard
from imgsvc.net.session import open_session
from imgsvc.webhooks.schedule import Answer, judge_status


class Sender:
    def __init__(self, session: aiohttp.ClientSession, guard: Guard) -> None:
        self._session = session
        self._guard = guard

    async def send(self, url: str, headers: Mapping[str, str], body: str, now_s: float) -> Answer:
        """now_s: seconds since 1970, to which a date in the answer is compared."""
        try:
            return await self._post(url, headers, body, now_s)
        except Blocked:
            return Answer(None, DeliveryError.BLOCKED)
        except TimeoutError:
            return Answer(None, DeliveryError.TIMEOUT)
        except aiohttp.ClientSSLError:
            return Answer(None, DeliveryError.TLS_FAILED)
        except (aiohttp.ClientError, OSError, ValueError):  # ValueError: a name that is none
            return Answer(None, DeliveryError.CONNECTION_FAILED)

    async def _post(self, url: str, headers: Mapping[str, str], body: str, now_s: float) -> Answer:
        """What the answer says beyond its head is not read: nobody needs it."""
        async with self._session.post(
            self._guard.check_url(url),
            data=BytesIO(body.encode()),
            headers=headers,
            allow_redirects=False,
        ) as response:
            retry_after = response.headers.get("Retry-After", "")
            retry_after_s = read_retry_after(retry_after, round(now_s * 1000))
            return Answer(response.status, judge_status(response.status), retry_after_s)


@asynccontextmanager
async def open_sender(
    *, allow_private: bool, timeout_s: float, connections: int
) -> AsyncIterator[Sender]:
    """timeout_s: for all of one message and its answer. connections: at once."""
    guard = Guard(allow_private=allow_private)
    headers = {"User-Agent": f"imgsvc/{__version__}", "Content-Type": "application/json"}
    async with open_session(
        guard,
        connect_timeout_s=timeout_s,
        total_timeout_s=timeout_s,
        connections=connections,
        headers=headers,
    ) as session:
        yield Sender(session, guard)
