"""Text as a mark: white with a soft dark edge, so that it reads on light and on dark.

The font comes with the program, and no other is looked for: text looks the same on every
machine, also on one that has no fonts.
"""

from __future__ import annotations

import html
import os
from functools import cache, lru_cache
from pathlib import Path

import pyvips

from imgsvc.imaging.steps.resize import resize
from imgsvc.recipes.sizes import Size

_FONTS = Path(__file__).parent / "fonts"
_FONT = "DejaVu Sans Bold"
_FONT_FILE = str(_FONTS / "DejaVuSans-Bold.ttf")

_MEASURE_PX = 64.0
_LONG_MEASURE_PX = 12.0
_LONG_TEXT = 100
"""Longer texts are measured smaller: Cairo draws at most 32 767 pixels a side, and the widest
letter is less than five times as wide as the font is high."""

_LARGEST_SIDE = 30_000
"""A larger mark is drawn at half its size, and enlarged."""

_SMALLEST_PX = 12.0
"""Smaller letters are drawn at this size and shrunk: an edge cannot be finer than a pixel."""

_EDGE_SHARE = 0.08
"""Width of the edge, and of the room that it takes on each side, in heights of the font."""

_WIDEST_EDGE_PX = 12
"""Wide enough for letters of any size, and a wide blur takes its time."""

_EDGE_STRENGTH = 1.6
_OPAQUE = 255
_NOTHING_TO_SEE = "no text to render"


@lru_cache(maxsize=64)
def measure(text: str) -> Size | None:
    """The size of the mark for `text`, of which only the ratio counts; None where nothing of
    it can be seen.
    """
    font_px = _measure_px(text)
    ink = _draw_ink(text, font_px)
    if ink is None:
        return None
    edge = _edge_px(font_px)
    return Size(ink.width + 2 * edge, ink.height + 2 * edge)


def draw(text: str, size: Size) -> pyvips.Image:
    """The mark at exactly `size`, grey with alpha. `text` is one that can be seen."""
    natural = measure(text)
    if natural is None:
        raise ValueError("a text that cannot be seen")
    if max(size) > _LARGEST_SIDE:
        return resize(draw(text, Size((size.width + 1) // 2, (size.height + 1) // 2)), size)
    font_px = _measure_px(text) * max(size.width / natural.width, size.height / natural.height)
    font_px = max(font_px, _SMALLEST_PX)
    ink = _draw_ink(text, font_px)
    if ink is None:
        raise ValueError("a text that cannot be seen")
    return _fit(_add_edge(ink, _edge_px(font_px)), size)


def _measure_px(text: str) -> float:
    return _MEASURE_PX if len(text) <= _LONG_TEXT else _LONG_MEASURE_PX


@cache
def _prepare_fonts() -> None:
    """Keep fontconfig from looking at the machine; it reads this once, at the first text."""
    os.environ["FONTCONFIG_FILE"] = str(_FONTS / "fonts.conf")


def _draw_ink(text: str, font_px: float) -> pyvips.Image | None:
    """One band of coverage, cropped to the ink. The text is no markup."""
    _prepare_fonts()
    try:
        return pyvips.Image.text(
            html.escape(text, quote=False),
            font=f"{_FONT} {font_px:.3f}",
            fontfile=_FONT_FILE,
            dpi=72,
            align="centre",
        )
    except pyvips.Error as exc:
        if _NOTHING_TO_SEE in str(exc):
            return None
        raise


def _edge_px(font_px: float) -> int:
    return max(1, min(round(font_px * _EDGE_SHARE), _WIDEST_EDGE_PX))


def _add_edge(ink: pyvips.Image, edge_px: int) -> pyvips.Image:
    """White ink over black ink that is blurred: the edge is what shows of the lower one."""
    width, height = ink.width + 2 * edge_px, ink.height + 2 * edge_px
    upper = ink.embed(edge_px, edge_px, width, height)
    lower = upper.gaussblur(edge_px / 2).linear(_EDGE_STRENGTH, 0, uchar=True).copy_memory()
    alpha = upper + lower * (_OPAQUE - upper) / _OPAQUE
    white = (alpha > 0).ifthenelse(upper * _OPAQUE / alpha, 0)
    return white.bandjoin(alpha).rint().cast("uchar").copy(interpretation="b-w")


def _fit(mark: pyvips.Image, size: Size) -> pyvips.Image:
    """What is a little too large is shrunk, what is a pixel too small gets room around it."""
    width, height = min(mark.width, size.width), min(mark.height, size.height)
    mark = resize(mark, Size(width, height))
    left, top = (size.width - width) // 2, (size.height - height) // 2
    return mark.embed(left, top, size.width, size.height)
