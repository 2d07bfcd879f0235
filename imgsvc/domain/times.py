"""Times: integer milliseconds since 1970 inside, RFC 3339 in UTC outside."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_ms() -> int:
    """Milliseconds since 1970-01-01T00:00:00Z by the machine's clock."""
    return time.time_ns() // 1_000_000


def rfc3339(at_ms: int | None) -> str | None:
    """`1763632800123` becomes `2025-11-20T10:00:00.123Z`; None stays None."""
    if at_ms is None:
        return None
    seconds, milliseconds = divmod(at_ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"
