"""What a picture is predicted to take, where its header does not tell at once."""

from __future__ import annotations

import pytest

from imgsvc.domain.rendering import NeedsMemory
from tests import pictures
from tests.imaging.conftest import Studio

SMALL = [{"name": "v", "width": 8}]


def cost_of(studio: Studio, data: bytes) -> int:
    outcome = studio.run(data, SMALL, memory_bytes=1000)
    assert isinstance(outcome, NeedsMemory)
    return outcome.cost_bytes


@pytest.mark.parametrize(
    ("plain", "whole", "bytes_per_pixel"),
    [
        (pictures.make_jpeg(1500, 1000), pictures.make_progressive_jpeg(1500, 1000), 6),
        (pictures.make_webp(1500, 1000), pictures.make_webp(1500, 1000, lossless=True), 4),
    ],
    ids=["progressive", "lossless"],
)
def test_a_picture_that_is_held_whole_is_charged_so(
    studio: Studio, plain: bytes, whole: bytes, bytes_per_pixel: int
) -> None:
    more = cost_of(studio, whole) - cost_of(studio, plain)
    assert more >= bytes_per_pixel * 1500 * 1000
