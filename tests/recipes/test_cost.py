"""What an image will cost a worker: the larger the dearer, and by format."""

from __future__ import annotations

import pytest

from imgsvc.domain.picture import Picture
from imgsvc.recipes.cost import predict_cost_ms
from imgsvc.recipes.presets import BUILT_IN

STANDARD = BUILT_IN["standard"].model_dump_json()


def cost(*, recipe: str = STANDARD, **fields: object) -> int:
    picture = Picture(**{"format": "jpeg", "width": 3000, "height": 2000, **fields})  # type: ignore[arg-type]
    return predict_cost_ms(recipe, picture, 1_500_000)


def test_more_pixels_cost_more() -> None:
    costs = [cost(width=side, height=side) for side in (10, 100, 1000, 4000, 8000)]
    assert costs == sorted(set(costs))
    assert costs[0] >= 1


@pytest.mark.parametrize(("cheap", "dear"), [("jpeg", "png"), ("webp", "png"), ("png", "avif")])
def test_formats_differ(cheap: str, dear: str) -> None:
    assert cost(format=cheap) < cost(format=dear)


def test_a_progressive_jpeg_costs_more_than_a_plain_one() -> None:
    assert cost(progressive=True) > cost()


def test_every_variant_costs() -> None:
    one = '{"variants":[{"name":"a","width":200,"format":"webp"}]}'
    two = one[:-2] + ',{"name":"b","width":800,"format":"webp"}]}'
    assert cost(recipe=one) < cost(recipe=two)


def test_a_picture_smaller_than_its_variants_is_not_charged_for_theirs() -> None:
    assert cost(width=100, height=100) < cost(width=800, height=800) / 3


def test_a_size_that_is_not_known_is_guessed_from_the_bytes() -> None:
    known = cost()
    assert cost(width=None, height=None) == pytest.approx(known, rel=0.5)


def test_what_is_no_picture_is_refused_quickly() -> None:
    assert predict_cost_ms(STANDARD, None, 1 << 30) < cost(width=1, height=1)
