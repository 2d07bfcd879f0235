"""Colours as CSS writes them in hexadecimal."""

from __future__ import annotations

from typing import NamedTuple


class Colour(NamedTuple):
    """Each 0..255; alpha 255 is opaque."""

    red: int
    green: int
    blue: int
    alpha: int


def on_white(colour: Colour) -> Colour:
    """What is seen of it on paper, for formats that know no alpha."""
    opacity = colour.alpha / 255
    red, green, blue = (round(value * opacity + 255 * (1 - opacity)) for value in colour[:3])
    return Colour(red, green, blue, 255)


def parse_colour(text: str) -> Colour:
    """`#rgb`, `#rgba`, `#rrggbb` or `#rrggbbaa`, as the recipe's model has let it through."""
    digits = text.removeprefix("#")
    if len(digits) in (3, 4):
        digits = "".join(digit * 2 for digit in digits)
    red, green, blue, *alpha = bytes.fromhex(digits)
    return Colour(red, green, blue, alpha[0] if alpha else 255)
