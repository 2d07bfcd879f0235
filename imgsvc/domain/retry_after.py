"""Retry-After (RFC 9110, 10.2.3): how long somebody else wants to be left alone."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]+")
_MAX_DIGITS = 9


def read_retry_after(text: str, now_ms: int) -> float | None:
    """Seconds from now on, 0.0 at least; None for what makes no sense.

    now_ms: milliseconds since 1970, to which a date is compared.
    """
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text[:_MAX_DIGITS])
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, moment.timestamp() - now_ms / 1000)
    except (ValueError, OverflowError):
        return None
