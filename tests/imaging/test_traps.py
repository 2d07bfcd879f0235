"""Files that are valid and yet came out wrong in other software."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageSequence

from tests import pictures
from tests.imaging.conftest import Studio
from tests.imaging.test_colours import assert_near
from tests.pictures import GifFrame

RED, GREEN, BLUE, CLEAR = (255, 0, 0, 255), (0, 128, 0, 255), (0, 0, 255, 255), (0, 0, 0, 0)
CORNERS = {
    (4, 4): pictures.RED,
    (27, 4): pictures.GREEN,
    (4, 19): pictures.BLUE,
    (27, 19): pictures.WHITE,
}
INKS: dict[tuple[int, ...], tuple[int, ...]] = {
    (0, 0, 0, 0): (255, 255, 255),
    (255, 0, 0, 0): (255, 0, 0),
    (0, 255, 0, 0): (0, 0, 255),
    (0, 0, 255, 255): (255, 255, 255),
}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>'


@pytest.mark.parametrize("format_", ["png", "webp", "jpeg"])
def test_a_single_pixel_of_prophoto_becomes_the_same_colour_in_srgb(
    studio: Studio, format_: str
) -> None:
    data = pictures.make_plain_png(
        (131, 141, 192), 1, 1, icc_profile=pictures.make_prophoto_profile()
    )
    picture = studio.picture(data, format=format_, quality=95)
    assert_near(picture, (0, 0), (117, 160, 210))
    assert "icc_profile" not in picture.info


@pytest.mark.parametrize("side", [64, 4096])
def test_a_jpeg_whose_profile_swaps_the_channels_shows_the_right_ones(
    studio: Studio, side: int
) -> None:
    """As JPEGs in XYB do; decoded whole and shrunk by the decoder."""
    red, green, blue = pictures.quarters(side, side * 3 // 4).split()
    data = pictures.encode(
        Image.merge("RGB", (green, blue, red)), "JPEG", quality=95, subsampling=0,
        icc_profile=pictures.make_swapped_profile(),
    )  # fmt: skip
    picture = studio.picture(data, width=32, format="png")
    for at, colour in CORNERS.items():
        assert_near(picture, at, colour)


@pytest.mark.parametrize("ink", INKS, ids=["paper", "first", "second", "colourless"])
def test_inks_become_the_colours_that_their_profile_says(
    studio: Studio, ink: tuple[int, ...]
) -> None:
    data = pictures.encode(
        Image.new("CMYK", (64, 48), ink), "JPEG", quality=100,
        icc_profile=pictures.make_ink_profile(),
    )  # fmt: skip
    picture, outcome = studio.make(data, width=32, format="png")
    assert picture.mode == "RGB"
    assert_near(picture, (9, 9), INKS[ink])
    assert outcome.warnings == ()


@pytest.mark.parametrize("width", [16, 32, 100])
def test_inks_are_averaged_as_the_colours_that_they_make(studio: Studio, width: int) -> None:
    lines = Image.new("CMYK", (128, 128), (0, 0, 0, 0))
    for row in range(0, 128, 4):
        lines.paste((255, 60, 0, 40), (0, row, 128, row + 2))
    inks = pictures.encode(lines, "TIFF")
    colours = pictures.encode(studio.picture(inks, format="png"), "PNG")
    expected = studio.picture(colours, width=width, format="png")
    found = studio.picture(inks, width=width, format="png")
    for at in ((3, 3), (width // 2, width // 2), (width - 4, width - 3)):
        colour = expected.getpixel(at)
        assert isinstance(colour, tuple)
        assert_near(found, at, colour)


def test_a_grey_picture_that_only_its_light_shows_is_no_flat_rectangle(studio: Studio) -> None:
    """Lines of black and white beside a grey of the same mean value."""
    picture = Image.new("L", (128, 128), 128)
    for row in range(0, 128, 2):
        picture.paste(0, (0, row, 64, row + 1))
        picture.paste(255, (0, row + 1, 64, row + 2))
    small = studio.picture(pictures.encode(picture, "PNG"), width=32, format="png")
    assert_near(small, (8, 16), (188,))
    assert_near(small, (24, 16), (128,))


@pytest.mark.parametrize("width", [64, 9])
@pytest.mark.parametrize("format_", ["webp", "png"])
@pytest.mark.parametrize("key", [None, (65535, 0, 1), (65534, 0, 0)])
def test_alpha_of_sixteen_bits_is_nothing_or_full_where_it_was(
    studio: Studio, format_: str, key: pictures.Colour | None, width: int
) -> None:
    """A colour that is transparent is told by all of its bits."""
    data = pictures.make_deep_sprite_png(key)
    picture = studio.picture(data, width=width, format=format_, lossless=True)
    assert picture.mode == "RGBA"
    assert picture.getpixel((0, 3)) == RED
    assert picture.getchannel("A").getpixel((picture.width - 1, 3)) == 0


@pytest.mark.parametrize("format_", ["webp", "png"])
def test_a_faint_alpha_beside_grey_of_sixteen_bits_stays_faint(
    studio: Studio, format_: str
) -> None:
    """The profile is about the grey alone."""
    data = pictures.make_deep_grey_png(0, 5 * 257, pictures.make_grey_profile(1.8))
    picture = studio.picture(data, width=32, format=format_).convert("RGBA")
    assert_near(picture, (9, 9), (0, 0, 0, 5))


@pytest.mark.parametrize("width", [9, 21, 33])
@pytest.mark.parametrize(
    "data",
    [pictures.make_deep_sprite_png(), pictures.make_sprite_png(65)],
    ids=["16 bits", "8 bits"],
)
def test_what_is_half_seen_has_the_colour_of_what_is_seen(
    studio: Studio, data: bytes, width: int
) -> None:
    """Or there would be a dark fringe."""
    picture = studio.picture(data, width=width, format="png")
    row: list[Any] = [picture.getpixel((x, 3)) for x in range(width)]
    assert any(0 < alpha < 255 for *_, alpha in row)
    assert {(red > 250, green, blue) for red, green, blue, alpha in row if alpha > 8} == {
        (True, 0, 0)
    }


def test_a_transparent_colour_of_a_palette_is_kept_or_laid_on_the_background(
    studio: Studio,
) -> None:
    data = pictures.make_clear_palette_png()
    kept = studio.picture(data, width=32, format="webp", lossless=True)
    assert [kept.getchannel("A").getpixel(at) for at in CORNERS] == [0, 255, 255, 255]
    laid = studio.picture(data, width=32, format="jpeg", quality=95, background="#00f")
    assert_near(laid, (4, 4), pictures.BLUE)
    assert_near(kept.convert("RGB"), (4, 19), pictures.BLUE)


@pytest.mark.parametrize("target", ["gif", "webp"])
@pytest.mark.parametrize(
    ("disposal", "after"), [(1, GREEN), (2, CLEAR), (3, RED)], ids=["left", "cleared", "restored"]
)
def test_a_frame_goes_as_its_disposal_says(
    studio: Studio, disposal: int, after: tuple[int, ...], target: str
) -> None:
    """Red all over, then a green spot, then a blue one beside where that was."""
    data = pictures.make_disposing_gif(
        [
            GifFrame((0, 0, 32, 24), 1, 1),
            GifFrame((4, 4, 12, 12), 2, disposal),
            GifFrame((20, 12, 28, 20), 3, 1),
        ]
    )
    studio.make(data, format=target, lossless=target == "webp")
    with Image.open(studio.folder / f"out-v.{target}") as picture:
        shown = [frame.convert("RGBA") for frame in ImageSequence.Iterator(picture)]
    seen: Any = [[frame.getpixel(at) for at in ((8, 8), (24, 16), (1, 22))] for frame in shown]
    assert seen[:2] == [[RED, RED, RED], [GREEN, RED, RED]]
    assert seen[2][1:] == [BLUE, RED]
    spot = seen[2][0]
    assert spot == after or spot[3] == after[3] == 0


@pytest.mark.parametrize("format_", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("wanted", ["none", "all"])
def test_of_a_jpeg_with_a_gain_map_the_picture_alone_is_made(
    studio: Studio, format_: str, wanted: str
) -> None:
    data = pictures.make_gain_map_jpeg()
    with Image.open(BytesIO(data)) as source:
        assert "mp" in source.info
    picture = studio.picture(data, width=32, format=format_, metadata=wanted, quality=100)
    made = (studio.folder / studio.outputs()[0]).read_bytes()
    assert b"MPF\x00" not in made
    assert made.count(b"\xff\xd8\xff") == (format_ == "jpeg")
    for at, colour in CORNERS.items():
        seen: Any = picture.convert("RGB").getpixel(at)
        assert max(abs(a - b) for a, b in zip(seen, colour, strict=True)) <= 12


@pytest.mark.parametrize("wanted", ["none", "all"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_an_avif_is_turned_once_although_it_says_so_twice(
    studio: Studio, orientation: int, wanted: str
) -> None:
    data = pictures.make_twice_turned_avif(orientation)
    turned = pictures.make_oriented_jpeg(1)
    with Image.open(BytesIO(turned)) as upright:
        turns: Any = {3: 180, 6: 270, 8: 90}
        expected = upright.rotate(turns[orientation], expand=True)
    picture, outcome = studio.make(data, format="jpeg", metadata=wanted, quality=95)
    assert (outcome.input.width, outcome.input.height) == picture.size == expected.size
    assert picture.getexif().get(pictures.EXIF_ORIENTATION_TAG, 1) == 1
    for at in ((8, 8), (picture.width - 9, 8), (8, picture.height - 9)):
        colour = expected.getpixel(at)
        seen: Any = picture.getpixel(at)
        assert isinstance(colour, tuple)
        assert max(abs(a - b) for a, b in zip(seen, colour, strict=True)) <= 8


def test_an_avif_of_hundreds_of_megapixels_is_refused_by_its_header(studio: Studio) -> None:
    failure = studio.fail(pictures.make_bomb_avif(), width=100)
    assert failure.code == "too_many_pixels"


def test_a_webp_with_words_of_svg_in_it_is_a_webp(studio: Studio) -> None:
    data = pictures.make_webp(lossless=True, xmp=SVG)
    assert SVG in data[:1000]
    picture, outcome = studio.make(data, width=32, format="png")
    assert outcome.input.format == "webp"
    for at, colour in CORNERS.items():
        assert_near(picture, at, colour)
