"""How far an image has got that is led from one host to another, and waits there for a turn."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass

from imgsvc.domain.image import Image

BELIEVED_S = 60
"""A target that is refused so long after the redirect may have been one for a while only."""


@dataclass(slots=True)
class Way:
    """address: what is asked for next. redirects: followed so far. used_s: of the image's time.
    led_ms: when the last redirect came, milliseconds since 1970; 0 before the first.
    """

    address: str
    redirects: int = 0
    used_s: float = 0.0
    led_ms: int = 0

    def may_have_expired(self, now_ms: int) -> bool:
        return 0 < self.led_ms < now_ms - BELIEVED_S * 1000

    def dump(self) -> str:
        """As an image keeps it while it waits."""
        return json.dumps(astuple(self))


def way_of(image: Image) -> Way:
    return Way(*json.loads(image.fetch_way)) if image.fetch_way else Way(image.url or "")
