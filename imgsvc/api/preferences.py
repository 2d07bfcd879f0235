"""The Prefer header (RFC 7240): how long a client wants to wait for the end."""

from __future__ import annotations

import re

from aiohttp import web

MAX_WAIT_S = 60

_WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,9})\"?", re.IGNORECASE)


def preferred_wait_s(request: web.Request) -> int | None:
    """Seconds, at most MAX_WAIT_S; None when no (readable) wait is preferred."""
    for header in request.headers.getall("Prefer", ()):
        for preference in header.split(","):
            if match := _WAIT.fullmatch(preference.partition(";")[0].strip()):
                return min(int(match[1]), MAX_WAIT_S)
    return None
