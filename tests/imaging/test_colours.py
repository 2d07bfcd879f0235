from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
import pyvips
from PIL import Image

from tests import pictures
from tests.imaging.conftest import Studio


def assert_near(picture: Image.Image, at: tuple[int, int], colour: tuple[int, ...]) -> None:
    seen: Any = picture.getpixel(at)
    values = seen if isinstance(seen, tuple) else (seen,)
    assert len(values) == len(colour)
    assert max(abs(a - b) for a, b in zip(values, colour, strict=True)) <= 3, (values, colour)


@pytest.mark.parametrize(
    "data",
    [
        pictures.make_jpeg(),
        pictures.make_progressive_jpeg(),
        pictures.make_png(),
        pictures.make_palette_png(),
        pictures.make_webp(lossless=True),
        pictures.make_gif(),
        pictures.make_tiff(),
        pictures.make_tiff(compression="tiff_lzw"),
        pictures.make_avif(),
    ],
    ids=["jpeg", "progressive", "png", "palette", "webp", "gif", "tiff", "lzw", "avif"],
)
def test_every_readable_format_keeps_its_colours(studio: Studio, data: bytes) -> None:
    picture = studio.picture(data, width=32, format="png")
    assert picture.size == (32, 24)
    for at, colour in {
        (4, 4): pictures.RED,
        (27, 4): pictures.GREEN,
        (4, 19): pictures.BLUE,
        (27, 19): pictures.WHITE,
    }.items():
        assert_near(picture, at, colour)


@pytest.mark.parametrize("format_", ["png", "webp", "jpeg"])
def test_every_writable_format_keeps_its_colours(studio: Studio, format_: str) -> None:
    picture = studio.picture(pictures.make_png(256, 192), width=128, format=format_, quality=95)
    assert_near(picture, (20, 20), pictures.RED)
    assert_near(picture, (100, 80), pictures.WHITE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied_once_and_its_tag_dropped(
    studio: Studio, orientation: int
) -> None:
    data = pictures.make_oriented_jpeg(orientation)
    picture, outcome = studio.make(data, width=32, format="jpeg")
    assert (outcome.input.width, outcome.input.height) == (64, 48)
    assert picture.size == (32, 24)
    assert picture.getexif().get(pictures.EXIF_ORIENTATION_TAG) is None
    shown = studio.picture(data, width=32, format="png")
    assert_near(shown, (4, 4), pictures.RED)
    assert_near(shown, (27, 4), pictures.GREEN)
    assert_near(shown, (4, 19), pictures.BLUE)


def test_a_wide_gamut_picture_is_converted_to_srgb_and_loses_its_profile(studio: Studio) -> None:
    # sRGB (200, 100, 50) as Display P3 numbers under gamma 2.2
    data = pictures.make_plain_png((186, 105, 64), icc_profile=pictures.make_p3_profile())
    picture, outcome = studio.make(data, width=8, format="png")
    assert_near(picture, (3, 3), (200, 100, 50))
    assert "icc_profile" not in picture.info
    assert outcome.warnings == ()


def test_full_red_of_display_p3_stays_full_red(studio: Studio) -> None:
    data = pictures.make_plain_png(pictures.RED, icc_profile=pictures.make_p3_profile())
    assert_near(studio.picture(data, width=8), (3, 3), pictures.RED)


def test_a_profile_that_is_srgb_anyway_changes_no_pixel(studio: Studio) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = pictures.make_plain_png((12, 134, 211), icc_profile=profile)
    picture = studio.picture(data, width=8)
    assert picture.getpixel((3, 3)) == (12, 134, 211)
    assert "icc_profile" not in picture.info


def test_cmyk_without_a_profile_becomes_srgb_with_a_warning(studio: Studio) -> None:
    picture, outcome = studio.make(pictures.make_cmyk_jpeg(), width=32)
    assert picture.mode == "RGB"
    red, green, blue = picture.getpixel((8, 8))  # type: ignore[misc]
    assert red > 200
    assert max(green, blue) < 60
    assert [warning.code.value for warning in outcome.warnings] == ["profile_assumed"]


def test_a_profile_that_does_not_fit_its_picture_is_told(studio: Studio) -> None:
    data = pictures.encode(
        Image.new("L", (16, 16), 100), "JPEG", icc_profile=pictures.make_p3_profile()
    )
    picture, outcome = studio.make(data, format="png")
    assert_near(picture, (3, 3), (100,))
    assert [warning.code.value for warning in outcome.warnings] == ["profile_assumed"]


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((32896,), (128,)),
        ((32896, 1285), (128, 5)),
        ((51400, 25700, 12850), (200, 100, 50)),
        ((65535, 0, 0, 32896), (255, 0, 0, 128)),
        ((0, 0, 65535, 1285), (0, 0, 255, 5)),
    ],
    ids=["grey", "grey-alpha", "rgb", "rgba", "faint"],
)
def test_sixteen_bits_become_eight_of_the_same_colour(
    studio: Studio, colour: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert_near(studio.picture(pictures.make_deep_png(colour), width=8), (3, 3), expected)


def test_transparent_pixels_do_not_bleed_into_the_resize(studio: Studio) -> None:
    picture = studio.picture(pictures.make_sprite_png(64, 48), width=9, format="png")
    edge: Any = picture.getpixel((4, 3))
    assert 0 < edge[3] < 255
    assert edge[0] >= 250, "a dark fringe"


@pytest.mark.parametrize(("background", "colour"), [(None, (255, 255, 255)), ("#00f", (0, 0, 255))])
def test_alpha_is_flattened_on_the_background_where_the_format_has_none(
    studio: Studio, background: str | None, colour: tuple[int, ...]
) -> None:
    fields = {"background": background} if background else {}
    picture = studio.picture(pictures.make_sprite_png(), format="jpeg", quality=95, **fields)
    assert_near(picture, (56, 24), colour)


def test_a_coloured_background_stays_coloured_under_a_grey_picture(studio: Studio) -> None:
    data = pictures.make_plain_png((128, 0))
    picture = studio.picture(data, format="jpeg", quality=100, grayscale=True, background="#00f")
    assert_near(picture, (20, 20), (0, 0, 255))


@pytest.mark.parametrize("format_", ["png", "webp"])
def test_alpha_is_kept_where_the_format_has_it(studio: Studio, format_: str) -> None:
    picture = studio.picture(pictures.make_sprite_png(), format=format_)
    alpha = picture.getchannel("A")
    assert alpha.getpixel((4, 4)) == 255
    assert alpha.getpixel((60, 4)) == 0


def test_an_alpha_that_is_opaque_everywhere_is_dropped(studio: Studio) -> None:
    assert studio.picture(pictures.make_plain_png((9, 99, 199, 255))).mode == "RGB"


def test_grayscale_is_luminance(studio: Studio) -> None:
    picture = studio.picture(pictures.make_png(), grayscale=True, format="png")
    assert picture.mode == "L"
    seen: list[Any] = [picture.getpixel(at) for at in ((8, 8), (56, 40))]
    assert 100 < seen[0] < 140  # pure red is far from black
    assert seen[1] == 255
    webp = studio.picture(pictures.make_png(), grayscale=True, format="webp")
    red, green, blue = webp.getpixel((8, 8))  # type: ignore[misc]
    assert max(red, green, blue) - min(red, green, blue) <= 3


def test_fine_black_and_white_detail_is_averaged_as_light(studio: Studio) -> None:
    picture = studio.picture(pictures.make_stripes_png(), width=32, format="png")
    assert_near(picture, (16, 16), (188, 188, 188))


@pytest.mark.parametrize("format_", ["JPEG", "WEBP"])
@pytest.mark.parametrize("width", [90, 210, 400])
def test_what_the_decoder_shrinks_looks_like_the_full_decode(
    studio: Studio, format_: str, width: int
) -> None:
    """A mean CIEDE2000 of 1 is what nobody sees."""
    noise = Image.effect_noise((1600, 1200), 70).convert("RGB")
    source = Image.blend(noise, pictures.quarters(1600, 1200), 0.6)
    data = pictures.encode(source, format_, quality=92)
    made = studio.picture(data, width=width, format="png")
    with Image.open(BytesIO(data)) as decoded:
        whole = pyvips.Image.new_from_array(decoded.convert("RGB"), interpretation="srgb")
    full = whole.resize(made.width / whole.width, vscale=made.height / whole.height)
    found = pyvips.Image.new_from_array(made, interpretation="srgb")
    assert found.colourspace("lab").dE00(full.colourspace("lab")).avg() <= 1.0
