"""What a picture is predicted to take, where its header does not tell at once."""

from __future__ import annotations

import pytest
import pyvips
from PIL import Image

from imgsvc.domain.rendering import NeedsMemory
from tests import pictures
from tests.imaging.conftest import Studio


def cost_of(studio: Studio, data: bytes, width: int = 8) -> int:
    outcome = studio.run(data, [{"name": "v", "width": width}], memory_bytes=1000)
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
    assert more >= bytes_per_pixel * 1500 * 1000 - len(plain)


def test_of_a_tiff_only_what_is_held_at_once_is_charged(studio: Studio) -> None:
    strips = cost_of(studio, pictures.make_tiff(2000, 3000))
    one_strip = cost_of(studio, pictures.make_tiff(2000, 3000, strip_size=1 << 30))
    assert strips == one_strip < 30 << 20


def test_of_a_tiff_in_tiles_a_row_of_them_is_charged(studio: Studio) -> None:
    def tiled(lines: int) -> int:
        image = pyvips.Image.black(2000, 3008, bands=3)
        options = {"tile": True, "tile_width": 256, "tile_height": lines, "compression": "deflate"}
        return cost_of(studio, image.write_to_buffer(".tif", **options))

    assert tiled(3008) - tiled(256) >= 2000 * (3008 - 256) * 3


def test_of_a_webp_the_file_is_charged_too(studio: Studio) -> None:
    noise = Image.effect_noise((600, 400), 60).convert("RGB")
    small, large = (pictures.encode(noise, "WEBP", quality=quality) for quality in (1, 100))
    assert cost_of(studio, large) - cost_of(studio, small) == len(large) - len(small) > 100_000


def test_of_a_webp_that_its_loader_shrinks_lines_are_charged_as_short_as_it_gives_them(
    studio: Studio,
) -> None:
    clear = Image.new("RGBA", (3000, 1000), (10, 20, 30, 40))
    cost = cost_of(studio, pictures.encode(clear, "WEBP"), width=100)
    assert cost <= (16 << 20) + 6 * 3000 * 1000 + 0.1 * 3000 * 1000 * 4 * 4


def test_lines_with_alpha_are_charged_as_many_as_are_held(studio: Studio) -> None:
    """More where the picture is shrunk to a quarter of its sides or less."""
    clear = pictures.make_plain_png((10, 20, 30, 40), 1000, 3000)
    opaque = pictures.make_plain_png((10, 20, 30), 1000, 3000)

    def more(width: int) -> int:
        return cost_of(studio, clear, width) - cost_of(studio, opaque, width)

    line, opaque_line = 1000 * 4 * 4, 1000 * 3
    assert more(250) >= 1200 * line - 700 * opaque_line
    assert 1.3 * more(251) < more(250)
