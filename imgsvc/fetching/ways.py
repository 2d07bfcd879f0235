"""How far images have got that were led from one host to another, and wait there for a turn."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

MAX_REMEMBERED = 10_000
"""Images of which is known where they were led; any other begins anew at its own URL."""

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


class Ways:
    def __init__(self) -> None:
        self._ways: OrderedDict[str, Way] = OrderedDict()

    def remember(self, image_id: str, way: Way) -> None:
        """Until it is taken up, or those of many others are known."""
        self._ways[image_id] = way
        if len(self._ways) > MAX_REMEMBERED:
            self._ways.popitem(last=False)

    def take_up(self, image_id: str) -> Way | None:
        return self._ways.pop(image_id, None)
