"""URLs may hold a user and a password, which are nobody else's business."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_SHOWN = "***@"
_ANYTHING = re.compile(r"^([a-z][a-z0-9+.-]*:)?[/\\]*.*@", re.IGNORECASE | re.DOTALL)


def without_login(url: str) -> str:
    """A URL as it may be shown and stored. Of one that makes no sense all up to the last `@` goes:
    a password may be what broke it.
    """
    if "@" not in url:
        return url
    try:
        parts = urlsplit(url)
        authority = parts.netloc if parts.port != 0 else ""
    except ValueError:  # a port that is none
        authority = ""
    if not authority or authority not in url:
        return _ANYTHING.sub(rf"\1//{_SHOWN}", url)
    login, at, host = authority.rpartition("@")
    return url.replace(f"{login}@{host}", _SHOWN + host, 1) if at else url
