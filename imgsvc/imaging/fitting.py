"""The best quality whose file is small enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

_FAR = 16
"""Times: between the highest quality and the lowest lies a factor of 10 to 50."""


class Fitted(NamedTuple):
    """fits: False when not even the lowest quality does; then it is that one."""

    data: bytes
    fits: bool


def fit_bytes(encode: Callable[[int], bytes], quality: int, max_bytes: int) -> Fitted:
    """The file of the highest quality from 1 to `quality` that is at most `max_bytes` long.

    Where it misses by far, the lowest quality is tried next: mostly that is the answer.
    Halving takes it that a higher quality never makes a smaller file; where an encoder breaks
    that by a few bytes, the answer is a quality that fits, if not the very best.
    """
    data = encode(quality)
    if len(data) <= max_bytes:
        return Fitted(data, fits=True)
    fitting: bytes | None = None
    low, high = 0, quality
    if len(data) > _FAR * max_bytes and quality > 1:
        lowest = encode(1)
        if len(lowest) > max_bytes:
            return Fitted(lowest, fits=False)
        fitting, low = lowest, 1
    while high - low > 1:
        middle = (low + high) // 2
        tried = encode(middle)
        if len(tried) <= max_bytes:
            fitting, low = tried, middle
        else:
            data, high = tried, middle
    return Fitted(data if fitting is None else fitting, fits=fitting is not None)
