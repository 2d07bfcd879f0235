from __future__ import annotations

import pytest

from imgsvc.recipes.colours import Colour, parse_colour


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("#fff", (255, 255, 255, 255)),
        ("#1aF", (0x11, 0xAA, 0xFF, 255)),
        ("#1af8", (0x11, 0xAA, 0xFF, 0x88)),
        ("#102030", (16, 32, 48, 255)),
        ("#10203040", (16, 32, 48, 64)),
    ],
)
def test_a_colour_is_read_as_css_means_it(text: str, colour: tuple[int, ...]) -> None:
    assert parse_colour(text) == Colour(*colour)
