"""When all images of a job that is followed are looked at, for those that have become final."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgsvc.client.answers import ProgressMessage

IMAGES_PER_S = 300
"""How many are looked at, on average, where no WebSocket tells of each: a few per cent of what one
processor of the server could list.
"""


class Looks:
    """Of one who begins to follow a job. None is missed that is not made: the end has its own."""

    def __init__(self) -> None:
        self._counts: tuple[int, ...] | None = None
        self._next_s = 0.0

    def is_due(self, message: ProgressMessage, now_s: float) -> bool:
        """Whether images may have become final that no message has told of.

        A job without a WebSocket is asked for every few seconds: its images are only looked at
        when others are final than the last time, and the more there are, the less often.
        """
        if message["type"] != "snapshot":
            return bool(message["type"] == "end")
        if message["seq"] is not None:
            return True
        return now_s >= self._next_s and _counts(message["job"]) != self._counts

    def note(self, job: Mapping[str, Any], now_s: float) -> None:
        """All that were final in this job have been dealt with."""
        self._counts = _counts(job)
        self._next_s = now_s + job["total"] / IMAGES_PER_S


def _counts(job: Mapping[str, Any]) -> tuple[int, ...]:
    return job["completed"], job["failed"], job["cancelled"]
