"""Where a smaller rectangle lies in a larger one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsvc.recipes.model import Point
from imgsvc.recipes.placement import place
from imgsvc.recipes.sizes import Size

OUTER, INNER = Size(100, 50), Size(60, 40)


@pytest.mark.parametrize(
    ("gravity", "expected"),
    [
        ("northwest", (0, 0)),
        ("north", (20, 0)),
        ("northeast", (40, 0)),
        ("west", (0, 5)),
        ("centre", (20, 5)),
        ("east", (40, 5)),
        ("southwest", (0, 10)),
        ("south", (20, 10)),
        ("southeast", (40, 10)),
        ("attention", (20, 5)),
        (Point(x=0, y=0), (0, 0)),
        (Point(x=1, y=1), (40, 10)),
        (Point(x=0.5, y=0.5), (20, 5)),
        (Point(x=0.4, y=0.9), (10, 10)),
    ],
)
def test_a_place_follows_gravity(gravity: Any, expected: tuple[int, int]) -> None:
    assert place(OUTER, INNER, gravity) == expected


def test_half_a_pixel_is_rounded_up() -> None:
    assert place(Size(5, 5), Size(2, 2), "centre") == (2, 2)


@given(
    inner=st.builds(Size, st.integers(1, 500), st.integers(1, 500)),
    more=st.tuples(st.integers(0, 500), st.integers(0, 500)),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
)
def test_the_smaller_one_is_always_inside(
    inner: Size, more: tuple[int, int], x: float, y: float
) -> None:
    outer = Size(inner.width + more[0], inner.height + more[1])
    for gravity in ("centre", "southeast", Point(x=x, y=y)):
        at = place(outer, inner, gravity)
        assert 0 <= at.left <= more[0]
        assert 0 <= at.top <= more[1]
