"""Trying again: a server that was there may be away for a while, as for an update."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from imgsvc.client.errors import ApiError, ClientError, ServerUnreachable

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
PATIENCE_S = 120.0
"""How long a server that was there may be away before we give up."""

_PASSING = frozenset(
    {
        "idempotency_in_progress",
        "request_timeout",  # a slow upload made way for others
        "rate_limited",
        "queue_full",
        "shutting_down",
        "storage_full",
        # what a proxy says while the server behind it is away
        "http_404",
        "http_502",
        "http_503",
        "http_504",
    }
)

T = TypeVar("T")


def pause_s(tries: int, jitter: float) -> float:
    """Seconds to wait after so many failed connections in a row (1 or more).

    jitter: 0 to 1; spreads clients that lost the same server.
    """
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(tries - 1, 10)) * (0.5 + jitter / 2))


class Patience:
    """Shared by all requests of one undertaking: as long as one of them gets on, all try."""

    def __init__(self) -> None:
        self._last_heard_s: float | None = None

    def note_answer(self) -> None:
        self._last_heard_s = asyncio.get_running_loop().time()

    def note_trouble(self, error: ClientError) -> None:
        """The server is away, or does not want to be asked now; it will be tried again."""

    @property
    def is_at_its_end(self) -> bool:
        """Also while nothing has answered yet: who mistyped a URL need not wait."""
        if self._last_heard_s is None:
            return True
        return asyncio.get_running_loop().time() - self._last_heard_s > PATIENCE_S

    def is_worth_repeating(self, error: ApiError) -> bool:
        """Whether the same request may be answered later."""
        return error.code in _PASSING

    async def insist(self, request: Callable[[], Awaitable[T]]) -> T:
        """Make a request that does no harm when it is made twice, until it is answered.

        Raises ServerUnreachable and ApiError when the server stays away, or says no.
        """
        tries = 0
        while True:
            tries += 1
            pause = pause_s(tries, random.random())  # noqa: S311  (no secret)
            try:
                answer = await request()
            except ServerUnreachable as exc:
                if self.is_at_its_end:
                    raise
                self.note_trouble(exc)
            except ApiError as exc:
                if not self.is_worth_repeating(exc) or self.is_at_its_end:
                    raise
                self.note_trouble(exc)
                pause = max(pause, exc.retry_after_s or 0)
            else:
                self.note_answer()
                return answer
            await asyncio.sleep(pause)


class Persistence(Patience):
    """Of one who has time: it tries until it is answered, from the first request on.

    on_trouble: told what is wrong, each time. on_answer: told that all is well, each time.
    """

    def __init__(
        self, on_trouble: Callable[[ClientError], None], on_answer: Callable[[], None]
    ) -> None:
        super().__init__()
        self._on_trouble = on_trouble
        self._on_answer = on_answer

    @property
    def is_at_its_end(self) -> bool:
        return False

    def is_worth_repeating(self, error: ApiError) -> bool:
        """It also lives through a server's own mistakes."""
        return error.status >= 500 or super().is_worth_repeating(error)

    def note_answer(self) -> None:
        super().note_answer()
        self._on_answer()

    def note_trouble(self, error: ClientError) -> None:
        self._on_trouble(error)
