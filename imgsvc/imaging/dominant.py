"""The dominant colour: the mean of the kind of colour that there is most of."""

from __future__ import annotations

from operator import mul

from imgsvc.imaging.miniature import Miniature

_COARSE = bytes(value & 0xE0 for value in range(256))
"""Eight steps a channel: what falls together is one kind of colour."""

_FULL = b"\xff"


def find_dominant_colour(miniature: Miniature) -> str:
    """As `#rrggbb`. A pixel counts as much as it is opaque; where none is, it is #000000.

    Of kinds that there is equally much of, the one that begins further up and left wins.
    """
    size, red, green, blue, alpha = miniature
    weights = alpha or _FULL * (size.width * size.height)
    kinds = list(zip(*(plane.translate(_COARSE) for plane in (red, green, blue)), strict=True))
    totals: dict[tuple[int, ...], int] = {}
    for kind, weight in zip(kinds, weights, strict=True):
        totals[kind] = totals.get(kind, 0) + weight
    most = max(totals, key=totals.__getitem__)
    shares = [weight if kind == most else 0 for kind, weight in zip(kinds, weights, strict=True)]
    return "#" + "".join(f"{_mean(plane, shares):02x}" for plane in (red, green, blue))


def _mean(plane: bytes, shares: list[int]) -> int:
    total = sum(shares)
    return (2 * sum(map(mul, plane, shares)) + total) // (2 * total) if total else 0
