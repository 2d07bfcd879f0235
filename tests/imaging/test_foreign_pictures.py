"""What Pillow and its plug-ins read comes out with the right pixels."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgsvc.domain.rendering import Rendered
from imgsvc.imaging.readers import registry
from tests import foreign, pictures
from tests.imaging.conftest import Studio
from tests.imaging.test_colours import assert_near

QUARTERS = pictures.quarters(64, 48)
CORNERS = {
    (4, 4): pictures.RED,
    (27, 4): pictures.GREEN,
    (4, 19): pictures.BLUE,
    (27, 19): pictures.WHITE,
}


def doubled(plane: bytes) -> bytes:
    """8 bits as 16: the same colour."""
    return bytes(value for one in plane for value in (one, one))


def make_psd(picture: Image.Image = QUARTERS, mode: int = foreign.PSD_RGB, **more: Any) -> bytes:
    inverted = mode == foreign.PSD_CMYK
    planes = foreign.psd_planes(picture, inverted=inverted)
    return foreign.make_psd(planes, *picture.size, mode, **more)


COLOURED = {
    "bmp": foreign.make_bmp(),
    "bmp of a palette": foreign.make_bmp(mode="P"),
    "bmp packed": foreign.make_bmp_rle(),
    "ico": foreign.make_ico(),
    "ico of bitmaps": foreign.make_ico(bitmap_format="bmp"),
    "icns": foreign.make_icns(),
    "jp2": foreign.make_jp2(),
    "jp2 in tiles": foreign.make_jp2(tile_size=(32, 32)),
    "jp2 with alpha": foreign.make_jp2(mode="RGBA"),
    "jp2 bare": foreign.make_jp2(no_jp2=True),
    "psd": make_psd(),
    "psd packed": make_psd(packed=True),
    "psd large": make_psd(packed=True, large=True),
    "psd 16 bits": foreign.make_psd(
        [doubled(plane) for plane in foreign.psd_planes(QUARTERS)], 64, 48, depth=16
    ),
    "psd 16 bits packed": foreign.make_psd(
        [doubled(plane) for plane in foreign.psd_planes(QUARTERS)], 64, 48, depth=16, packed=True
    ),
    "pcx": foreign.make_pcx(),
    "pcx of a palette": foreign.make_pcx(mode="P"),
    "ppm": foreign.make_ppm(),
    "qoi": foreign.make_qoi(),
    "qoi with alpha": foreign.make_qoi(mode="RGBA"),
    "dds": foreign.make_dds(),
    "dds compressed": foreign.make_dds(pixel_format="DXT5"),
    "heic": foreign.make_heic(),
    "heic with alpha": foreign.make_heic(mode="RGBA"),
    "heic in tiles": foreign.make_heic(256, 192, tile_size=64),
    "jxl": foreign.make_jxl(),
    "jxl without loss": foreign.make_jxl(lossless=True),
    "jxl in boxes": foreign.make_jxl(use_container=True),
    "jxl of a turned jpeg": foreign.ORIENTED_JXL,
}


@pytest.mark.parametrize("name", COLOURED)
def test_every_format_keeps_its_colours(studio: Studio, name: str) -> None:
    picture, outcome = studio.make(COLOURED[name], width=32, height=24, mode="force", format="png")
    assert outcome.input.format == name.split()[0]
    assert outcome.warnings == ()
    assert picture.mode == "RGB"
    for at, colour in CORNERS.items():
        assert_near(picture, at, colour)


GREY = QUARTERS.convert("L")

GREYS = {
    "bmp": foreign.make_bmp(mode="L"),
    "jp2": foreign.make_jp2(mode="L"),
    "jp2 with alpha": foreign.make_jp2(mode="LA"),
    "psd": make_psd(GREY, foreign.PSD_GREY),
    "psd 16 bits": foreign.make_psd([doubled(GREY.tobytes())], 64, 48, 1, depth=16),
    "pcx": foreign.make_pcx(mode="L"),
    "ppm": foreign.make_ppm(mode="L"),
    "heic": foreign.make_heic(mode="L"),
    "jxl": foreign.make_jxl(mode="L"),
    "jxl with alpha": foreign.make_jxl(mode="LA"),
}


@pytest.mark.parametrize("name", GREYS)
def test_a_grey_picture_stays_grey(studio: Studio, name: str) -> None:
    picture = studio.picture(GREYS[name], width=32, format="png")
    assert picture.mode == "L"
    for at, colour in CORNERS.items():
        assert_near(picture, at, (Image.new("RGB", (1, 1), colour).convert("L").tobytes()[0],))


@pytest.mark.parametrize("format_", ["JPEG2000", "PPM", "HEIF"])
def test_grey_of_16_bits_keeps_its_values(studio: Studio, format_: str) -> None:
    deep = Image.new("I;16", (64, 48), 150 * 257)
    picture = studio.picture(pictures.encode(deep, format_), width=32, format="png")
    assert_near(picture, (10, 10), (150,))


@pytest.mark.parametrize(("mode", "value"), [("I;16", 0.25 * 65535), ("F", 0.25)])
def test_deep_grey_of_a_jxl_is_the_linear_light_that_it_says_it_is(
    studio: Studio, mode: str, value: float
) -> None:
    deep = Image.new(mode, (64, 48), value if mode == "F" else round(value))
    picture = studio.picture(pictures.encode(deep, "JXL", lossless=True), width=32, format="png")
    assert_near(picture, (10, 10), (137,))


@pytest.mark.parametrize("data", [foreign.make_bmp(mode="1"), foreign.make_ppm(mode="1"),
                                  foreign.make_pcx(mode="1")])  # fmt: skip
def test_one_bit_is_black_and_white(studio: Studio, data: bytes) -> None:
    picture = studio.picture(data, format="png")
    assert picture.mode == "L"
    assert_near(picture, (60, 40), (255,))
    assert {value for _, value in picture.getcolors() or ()} == {0, 255}


def test_a_bitmap_of_photoshop_is_black_where_its_bits_are_set(studio: Studio) -> None:
    data = foreign.make_psd([b"\xf0\x00" * 16], 16, 16, foreign.PSD_BITMAP, depth=1)
    picture = studio.picture(data, format="png")
    assert (picture.getpixel((1, 3)), picture.getpixel((9, 3))) == (0, 255)


TRANSLUCENT = Image.new("RGBA", (64, 48), (200, 100, 50, 128))


@pytest.mark.parametrize(
    "data",
    [
        foreign.make_bmp_with_alpha((200, 100, 50, 128)),
        pictures.encode(TRANSLUCENT, "ICO", sizes=[(64, 48)]),
        pictures.encode(TRANSLUCENT, "ICO", sizes=[(64, 48)], bitmap_format="bmp"),
        pictures.encode(TRANSLUCENT, "JPEG2000"),
        pictures.encode(TRANSLUCENT, "QOI"),
        pictures.encode(TRANSLUCENT, "DDS"),
        pictures.encode(TRANSLUCENT, "HEIF", quality=95, chroma=444),
        pictures.encode(TRANSLUCENT, "JXL", lossless=True),
    ],
    ids=["bmp", "ico", "ico of bitmaps", "jp2", "qoi", "dds", "heic", "jxl"],
)
def test_alpha_is_kept_and_same_makes_a_png(studio: Studio, data: bytes) -> None:
    picture, outcome = studio.make(data)
    assert outcome.outputs[0].format == "png"
    assert_near(picture, (10, 10), (200, 100, 50, 128))


def test_without_alpha_same_makes_a_jpeg(studio: Studio) -> None:
    for data in (foreign.make_heic(), foreign.make_jxl(), foreign.make_bmp()):
        assert studio.make(data)[1].outputs[0].format == "jpeg"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_heic_is_turned_once_although_it_says_so_twice(studio: Studio, orientation: int) -> None:
    """libheif turns what the container says; the writer has put the same into EXIF."""
    picture, outcome = studio.make(foreign.make_oriented_heic(orientation), format="png")
    jpeg = pictures.encode(QUARTERS, "JPEG", quality=95, exif=_oriented(orientation))
    expected = studio.picture(jpeg, format="png")
    assert (outcome.input.width, outcome.input.height) == picture.size == expected.size
    width, height = picture.size
    for at in ((5, 5), (width - 6, 5), (5, height - 6)):
        colour = expected.getpixel(at)
        assert isinstance(colour, tuple)
        assert_near(picture, at, colour)


def _oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[pictures.EXIF_ORIENTATION_TAG] = orientation
    return exif


def test_exif_does_not_turn_a_jxl(studio: Studio) -> None:
    """ISO 18181-1: the codestream alone says how a picture stands."""
    data = foreign.make_jxl(exif=_oriented(6).tobytes())
    assert studio.picture(data, format="png").size == (64, 48)


def test_ten_bits_of_heic_become_eight(studio: Studio) -> None:
    data = foreign.make_deep_heic((51400, 25700, 12850))
    assert_near(studio.picture(data, format="png"), (20, 20), (200, 100, 50))


P3 = pictures.make_p3_profile()
P3_COLOUR = Image.new("RGB", (64, 48), (186, 105, 64))


@pytest.mark.parametrize(
    "data",
    [
        pictures.encode(P3_COLOUR, "HEIF", quality=100, chroma=444, icc_profile=P3),
        foreign.add_jp2_profile(pictures.encode(P3_COLOUR, "JPEG2000"), P3),
        foreign.make_psd(
            foreign.psd_planes(P3_COLOUR), 64, 48, resources=[(1005, b"abc"), (1039, P3)]
        ),
    ],
    ids=["heic", "jp2", "psd"],
)
def test_a_profile_is_found_and_used(studio: Studio, data: bytes) -> None:
    picture, outcome = studio.make(data, width=8, format="png")
    assert_near(picture, (3, 3), (200, 100, 50))
    assert outcome.warnings == ()


def test_a_heic_that_only_names_display_p3_is_converted(studio: Studio) -> None:
    named = {
        "color_primaries": 12,
        "transfer_characteristics": 13,
        "matrix_coefficients": 1,
        "full_range_flag": 1,
    }
    plain = Image.new("RGB", (64, 48), (234, 51, 35))  # sRGB's red in Display P3
    data = pictures.encode(plain, "HEIF", quality=100, chroma=444, nclx_profile=named)
    assert_near(studio.picture(data, width=8, format="png"), (3, 3), pictures.RED)


@pytest.mark.parametrize("packed", [False, True])
def test_inks_of_a_psd_are_those_of_a_jpeg(studio: Studio, packed: bool) -> None:
    ink = (0, 255, 255, 0)
    data = make_psd(Image.new("CMYK", (64, 48), ink), foreign.PSD_CMYK, packed=packed)
    picture, outcome = studio.make(data, width=8, format="png")
    expected = studio.picture(pictures.make_cmyk_jpeg(ink), width=8, format="png").getpixel((3, 3))
    assert isinstance(expected, tuple)
    assert_near(picture, (3, 3), expected)
    assert [warning.code for warning in outcome.warnings] == ["profile_assumed"]


def test_lab_of_a_psd_is_converted(studio: Studio) -> None:
    planes = [bytes([value]) * 64 * 48 for value in (136, 208, 195)]  # L 53.3, a 80, b 67: red
    data = foreign.make_psd(planes, 64, 48, foreign.PSD_LAB)
    assert_near(studio.picture(data, format="png"), (5, 5), (255, 0, 0))


def test_a_palette_of_a_psd_is_looked_up(studio: Studio) -> None:
    palette = bytes(range(256)) + bytes(range(255, -1, -1)) + bytes([7]) * 256
    data = foreign.make_psd([bytes([100]) * 48], 8, 6, foreign.PSD_INDEXED, palette=palette)
    assert_near(studio.picture(data, format="png"), (5, 5), (100, 155, 7))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_psd_is_seen_through_where_it_says_so_and_its_white_is_taken_out(
    studio: Studio, depth: int
) -> None:
    """Red of half opacity is stored as it looks on white."""
    values = [255, 127, 127, 128]
    planes = [bytes([value]) * 64 * 48 * (depth // 8) for value in values]
    picture = studio.picture(foreign.make_psd(planes, 64, 48, depth=depth, layers=-1), format="png")
    assert_near(picture, (5, 5), (255, 0, 0, 128))


def test_a_saved_selection_of_a_psd_hides_nothing(studio: Studio) -> None:
    planes = [*foreign.psd_planes(QUARTERS), bytes(64 * 48)]
    picture = studio.picture(foreign.make_psd(planes, 64, 48, layers=1), width=32, format="png")
    assert_near(picture, (4, 4), pictures.RED)


def test_the_largest_picture_of_an_icon_is_taken(studio: Studio) -> None:
    assert studio.picture(foreign.make_ico(200, 100), format="png").size == (200, 100)
    assert studio.picture(foreign.make_icns(), format="png").size == (1024, 1024)


def test_among_pictures_of_one_size_the_one_with_most_colours_is_taken(studio: Studio) -> None:
    rich = QUARTERS.resize((32, 32)).convert("RGBA")
    poor = Image.new("P", (32, 32))
    data = pictures.encode(rich, "ICO", sizes=[(32, 32)], append_images=[poor], bitmap_format="bmp")
    assert struct.unpack("<H", data[4:6]) == (2,)
    assert_near(studio.picture(data, format="png"), (4, 4), pictures.RED)


@pytest.mark.parametrize(
    ("data", "colours"),
    [
        (foreign.make_plain_ppm(), [(255, 0, 0), (0, 0, 255)]),
        (b"P6 2 1 15\n\x0f\x00\x00\x00\x00\x0f", [(255, 0, 0), (0, 0, 255)]),
        (b"P6 2 1 1000\n\x03\xe8\0\0\0\0\0\0\0\0\x03\xe8", [(255, 0, 0), (0, 0, 255)]),
        (b"P5 2 1 1000\n\x01\xf4\x03\xe8", [(128,), (255,)]),
        (b"P5 2 1 65535\n\x80\x80\xff\xff", [(128,), (255,)]),
        (b"P5 2 1 100\n\x32\x64", [(128,), (255,)]),
    ],
)
def test_any_maps_of_every_depth_are_read(
    studio: Studio, data: bytes, colours: list[tuple[int, ...]]
) -> None:
    picture = studio.picture(data, format="png")
    for x, colour in enumerate(colours):
        assert_near(picture, (x, 0), colour)


def test_a_jxl_of_many_fields_is_measured_before_it_is_decoded(studio: Studio) -> None:
    """Every branch of the header that the encoder can be brought to write."""
    for width, height in ((1, 1), (8, 8), (16, 8), (300, 200), (640, 480), (1000, 1), (512, 512)):
        for mode in ("RGB", "RGBA", "L", "LA"):
            data = foreign.make_jxl(width, height, mode, lossless=True, effort=1)
            outcome = studio.run(data, [{"name": "v", "width": 1}])
            assert isinstance(outcome, Rendered)
            assert (outcome.input.width, outcome.input.height) == (width, height)


@pytest.mark.parametrize("make", [foreign.make_heic, foreign.make_jxl])
def test_exif_comes_along_and_turns_nothing(tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = tmp_path / "in"
    path.write_bytes(make(exif=_oriented(6).tobytes()))
    format_ = "heic" if make is foreign.make_heic else "jxl"
    outline = registry.open_outline(str(path), format_)
    image = registry.read_pixels(str(path), format_, outline)
    assert image.get("exif-data").startswith(b"Exif\0\0MM")
    with Image.open(_written(image.jpegsave_buffer(keep="exif"), tmp_path)) as written:
        assert written.getexif()[pictures.EXIF_ORIENTATION_TAG] == 1


def _written(data: bytes, folder: Path) -> Path:
    (folder / "out.jpg").write_bytes(data)
    return folder / "out.jpg"
