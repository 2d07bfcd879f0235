from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsvc.recipes.model import Mode
from imgsvc.recipes.sizes import Size, SizePlan, plan_size, scaled

sides = st.integers(1, 20_000)
sizes = st.builds(Size, sides, sides)
modes = st.sampled_from(["fit", "fill", "pad", "force"])


def same(size: Size, *, limited: bool = False) -> SizePlan:
    return SizePlan(size, size, size, limited)


def fit(source: tuple[int, int], box: tuple[int, int], *, enlarge: bool = False) -> SizePlan:
    return plan_size(Size(*source), *box, "fit", enlarge=enlarge)


@pytest.mark.parametrize(
    ("source", "box", "expected"),
    [
        ((4000, 3000), (800, 800), (800, 600)),
        ((3000, 4000), (800, 800), (600, 800)),
        ((500, 333), (100, 100), (100, 67)),
        ((200, 101), (100, 100), (100, 51)),  # 50.5 goes up
        ((10_000, 1), (100, 100), (100, 1)),
        ((800, 10), (800, 800), (800, 10)),
    ],
)
def test_fit_meets_the_side_that_binds_and_rounds_the_other_half_up(
    source: tuple[int, int], box: tuple[int, int], expected: tuple[int, int]
) -> None:
    plan = fit(source, box)
    assert plan == same(Size(*expected))


def test_fit_does_not_grow_beyond_the_source_unless_it_may() -> None:
    assert fit((80, 40), (200, 200)) == same(Size(80, 40), limited=True)
    assert fit((80, 40), (200, 200), enlarge=True).canvas == (200, 100)


def test_fill_is_exactly_the_box_and_covered() -> None:
    plan = plan_size(Size(400, 300), 100, 100, "fill", enlarge=False)
    assert plan == SizePlan(Size(133, 100), Size(100, 100), Size(100, 100))


def test_fill_scales_a_box_that_is_too_large_down_until_it_fits() -> None:
    plan = plan_size(Size(400, 300), 1000, 500, "fill", enlarge=False)
    assert plan == SizePlan(Size(400, 300), Size(400, 200), Size(400, 200), limited=True)
    grown = plan_size(Size(400, 300), 1000, 500, "fill", enlarge=True)
    assert grown == SizePlan(Size(1000, 750), Size(1000, 500), Size(1000, 500))


def test_pad_is_always_the_box_with_the_picture_inside_as_by_fit() -> None:
    assert plan_size(Size(400, 300), 200, 200, "pad", enlarge=False) == SizePlan(
        Size(200, 150), Size(200, 150), Size(200, 200)
    )
    assert plan_size(Size(40, 30), 200, 200, "pad", enlarge=False) == SizePlan(
        Size(40, 30), Size(40, 30), Size(200, 200), limited=True
    )


@given(sizes, sizes, st.booleans())
def test_force_is_always_exactly_the_box(source: Size, box: Size, enlarge: bool) -> None:
    assert plan_size(source, *box, "force", enlarge=enlarge) == same(box)


@given(sizes, modes, st.booleans())
def test_without_width_and_height_the_size_is_kept(source: Size, mode: Mode, enlarge: bool) -> None:
    assert plan_size(source, None, None, mode, enlarge=enlarge) == same(source)


@given(sizes, sides, modes, st.booleans())
def test_with_one_side_all_modes_are_the_same(
    source: Size, side: int, mode: Mode, enlarge: bool
) -> None:
    by_width = plan_size(source, side, None, mode, enlarge=enlarge)
    assert by_width == plan_size(source, side, None, "fit", enlarge=enlarge)
    assert by_width.limited == (not enlarge and side > source.width)
    by_height = plan_size(source, None, side, mode, enlarge=enlarge)
    assert by_height == plan_size(source, None, side, "fit", enlarge=enlarge)
    assert by_height.limited == (not enlarge and side > source.height)


@given(sizes, sizes, st.booleans())
def test_fit_stays_inside_the_box_keeps_the_ratio_and_touches_a_side(
    source: Size, box: Size, enlarge: bool
) -> None:
    plan = plan_size(source, *box, "fit", enlarge=enlarge)
    width, height = plan.canvas
    assert width <= box.width
    assert height <= box.height
    if plan.limited:
        assert plan.canvas == source
        return
    assert width == box.width or height == box.height
    scale = min(Fraction(box.width, source.width), Fraction(box.height, source.height))
    assert abs(width - max(Fraction(1), source.width * scale)) <= Fraction(1, 2)
    assert abs(height - max(Fraction(1), source.height * scale)) <= Fraction(1, 2)


@given(sizes, sizes, modes.filter(lambda mode: mode in ("fit", "fill")))
def test_without_enlarge_nothing_grows_beyond_the_source(
    source: Size, box: Size, mode: Mode
) -> None:
    plan = plan_size(source, *box, mode, enlarge=False)
    assert plan.canvas.width <= source.width
    assert plan.canvas.height <= source.height


@given(sizes, sizes, st.booleans())
def test_a_filled_picture_covers_its_canvas_tightly(source: Size, box: Size, enlarge: bool) -> None:
    plan = plan_size(source, *box, "fill", enlarge=enlarge)
    assert plan.picture.width >= plan.canvas.width
    assert plan.picture.height >= plan.canvas.height
    assert plan.picture.width == plan.canvas.width or plan.picture.height == plan.canvas.height
    assert plan.limited or plan.canvas == box


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_rounding_is_half_up_and_never_to_nothing(
    length: int, numerator: int, denominator: int
) -> None:
    exact = Fraction(length * numerator, denominator)
    rounded = scaled(length, numerator, denominator)
    assert rounded == max(1, (exact + Fraction(1, 2)).__floor__())
