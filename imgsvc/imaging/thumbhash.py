"""ThumbHash: what a picture looks like from afar, in some 25 bytes.

The format is the published one (https://evanw.github.io/thumbhash), and any of its decoders
reads what is made here. Lightness, two colour differences and opacity are taken apart into
waves, as JPEG does with its blocks, and of each the longest waves are kept, in four bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import cos, floor, pi
from operator import mul
from typing import NamedTuple

from imgsvc.imaging.miniature import Miniature
from imgsvc.recipes.sizes import Size

_LIGHT_WAVES = 7
_LIGHT_WAVES_BESIDE_ALPHA = 5
_COLOUR_WAVES = 3
_ALPHA_WAVES = 5
_MOST_WAVES = 7
_LEAST_WAVES = 3

_FULL = 255
_Plane = Sequence[float]


class _Spectrum(NamedTuple):
    """levels: strength of each wave in 0..15, where 7.5 is none and 0 and 15 are `scale`."""

    mean: float
    scale: float
    levels: tuple[int, ...]


def encode_thumbhash(miniature: Miniature, shape: Size) -> bytes:
    """The hash of a miniature. shape: the picture's own size, of which the ratio is kept."""
    red, green, blue = _over_average(miniature)
    size, alpha = miniature.size, miniature.alpha
    waves = _LIGHT_WAVES if alpha is None else _LIGHT_WAVES_BESIDE_ALPHA
    across, down = (max(1, _rounded(waves * side / max(shape))) for side in shape)
    light = _transform(
        [(r + g + b) / (3 * _FULL) for r, g, b in zip(red, green, blue, strict=True)],
        size,
        Size(max(across, _LEAST_WAVES), max(down, _LEAST_WAVES)),
    )
    colour_waves = Size(_COLOUR_WAVES, _COLOUR_WAVES)
    yellow = [(r + g - 2 * b) / (2 * _FULL) for r, g, b in zip(red, green, blue, strict=True)]
    warmth = [(r - g) / _FULL for r, g in zip(red, green, strict=True)]
    yellow_blue = _transform(yellow, size, colour_waves)
    red_green = _transform(warmth, size, colour_waves)
    head = _pack_head(light, yellow_blue, red_green, has_alpha=alpha is not None)
    shorter = _pack_shape(shape, min(across, down), yellow_blue, red_green)
    levels = light.levels + yellow_blue.levels + red_green.levels
    if alpha is None:
        return head + shorter + _pack_levels(levels)
    opacity = _transform([a / _FULL for a in alpha], size, Size(_ALPHA_WAVES, _ALPHA_WAVES))
    veil = _rounded(15 * opacity.mean) | _rounded(15 * opacity.scale) << 4
    return head + shorter + bytes([veil]) + _pack_levels(levels + opacity.levels)


def _over_average(miniature: Miniature) -> tuple[_Plane, _Plane, _Plane]:
    """The colours as they show on a ground of the picture's average colour."""
    _, red, green, blue, alpha = miniature
    if alpha is None:
        return red, green, blue
    return _lay(red, alpha), _lay(green, alpha), _lay(blue, alpha)


def _lay(plane: bytes, alpha: bytes) -> _Plane:
    opacity = sum(alpha)
    mean = sum(map(mul, plane, alpha)) / opacity if opacity else 0.0
    return [mean + (value - mean) * a / _FULL for value, a in zip(plane, alpha, strict=True)]


def _transform(plane: Sequence[float], size: Size, waves: Size) -> _Spectrum:
    """The triangle of waves that are longest both ways together."""
    rows = [plane[start : start + size.width] for start in range(0, len(plane), size.width)]
    along = _waves(size.width)[: waves.width]
    by_row = [[sum(map(mul, row, wave)) for row in rows] for wave in along]
    strengths = [
        sum(map(mul, by_row[across], wave)) / len(plane)
        for down, wave in enumerate(_waves(size.height)[: waves.height])
        for across in range(waves.width)
        if across * waves.height < waves.width * (waves.height - down)
    ]
    mean, *others = strengths
    scale = max(map(abs, others))
    levels = (_rounded(7.5 + 7.5 * strength / scale) if scale else 0 for strength in others)
    return _Spectrum(mean, scale, tuple(levels))


@lru_cache(maxsize=64)
def _waves(length: int) -> tuple[tuple[float, ...], ...]:
    """Cosines of the DCT-II over `length` samples, the longest wave first."""
    return tuple(
        tuple(cos(pi / length * wave * (place + 0.5)) for place in range(length))
        for wave in range(_MOST_WAVES)
    )


def _pack_head(
    light: _Spectrum, yellow_blue: _Spectrum, red_green: _Spectrum, *, has_alpha: bool
) -> bytes:
    bits = (
        _rounded(63 * light.mean)
        | _rounded(31.5 + 31.5 * yellow_blue.mean) << 6
        | _rounded(31.5 + 31.5 * red_green.mean) << 12
        | _rounded(31 * light.scale) << 18
        | has_alpha << 23
    )
    return bits.to_bytes(3, "little")


def _pack_shape(
    shape: Size, shorter_waves: int, yellow_blue: _Spectrum, red_green: _Spectrum
) -> bytes:
    bits = (
        shorter_waves
        | _rounded(63 * yellow_blue.scale) << 3
        | _rounded(63 * red_green.scale) << 9
        | (shape.width > shape.height) << 15
    )
    return bits.to_bytes(2, "little")


def _pack_levels(levels: Sequence[int]) -> bytes:
    """Two to a byte, the first in its lower half."""
    even = (*levels, 0) if len(levels) % 2 else levels
    return bytes(low | high << 4 for low, high in zip(even[::2], even[1::2], strict=True))


def _rounded(value: float) -> int:
    """Half up, as the format has it; Python rounds half to even."""
    return floor(value + 0.5)
