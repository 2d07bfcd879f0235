"""Filling, padding, mirroring, blurring, sharpening, and the formats that come out."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pyvips
from PIL import Image, ImageStat

from imgsvc.recipes.presets import BUILT_IN
from tests import pictures
from tests.imaging.conftest import Studio
from tests.pictures import BLUE, GREEN, RED, WHITE


def near(picture: Image.Image, at: tuple[int, int], colour: tuple[int, ...]) -> bool:
    found = picture.convert("RGBA" if len(colour) == 4 else "RGB").getpixel(at)
    assert isinstance(found, tuple)
    return all(abs(a - b) <= 40 for a, b in zip(found, colour, strict=True))


@pytest.mark.parametrize(
    ("gravity", "corner"),
    [
        ("west", (RED, BLUE)),
        ("east", (GREEN, WHITE)),
        ({"x": 0, "y": 0.5}, (RED, BLUE)),
        ({"x": 1, "y": 0.5}, (GREEN, WHITE)),
    ],
)
def test_fill_shows_the_side_that_gravity_names(
    studio: Studio, gravity: Any, corner: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    picture = studio.picture(
        pictures.make_png(400, 200), width=50, height=100, mode="fill", gravity=gravity,
        format="png",
    )  # fmt: skip
    assert picture.size == (50, 100)
    assert near(picture, (25, 10), corner[0])
    assert near(picture, (25, 90), corner[1])


@pytest.mark.parametrize("gravity", ["attention", "entropy"])
@pytest.mark.parametrize("grayscale", [False, True])
def test_fill_by_what_is_in_the_picture_has_the_exact_size(
    studio: Studio, gravity: str, grayscale: bool
) -> None:
    for data in (pictures.make_jpeg(401, 203), pictures.make_sprite_png(300, 200)):
        picture = studio.picture(
            data, width=77, height=100, mode="fill", gravity=gravity, grayscale=grayscale,
            format="png",
        )  # fmt: skip
        assert picture.size == (77, 100)


def test_fill_without_enlarging_keeps_the_boxs_ratio(studio: Studio) -> None:
    picture, outcome = studio.make(
        pictures.make_jpeg(100, 50), width=400, height=400, mode="fill", format="png"
    )
    assert picture.size == (50, 50)
    assert [warning.code for warning in outcome.warnings] == ["not_enlarged"]


def test_pad_lays_the_picture_on_its_background(studio: Studio) -> None:
    picture = studio.picture(
        pictures.make_png(200, 100), width=100, height=100, mode="pad", background="#102030",
        format="png",
    )  # fmt: skip
    assert picture.size == (100, 100)
    assert near(picture, (50, 10), (0x10, 0x20, 0x30))
    assert near(picture, (50, 90), (0x10, 0x20, 0x30))
    assert near(picture, (10, 30), RED)
    assert near(picture, (90, 70), WHITE)


def test_pad_may_be_transparent_where_the_format_can(studio: Studio) -> None:
    fields = {"width": 100, "height": 100, "mode": "pad", "background": "#00000000"}
    data = pictures.make_jpeg(200, 100)
    assert near(studio.picture(data, **fields, format="png"), (50, 5), (0, 0, 0, 0))
    assert near(studio.picture(data, **fields, format="jpeg"), (50, 5), WHITE)
    half = {**fields, "background": "#ff000080"}
    assert near(studio.picture(data, **half, format="jpeg"), (50, 5), (255, 127, 127))


def test_a_coloured_background_keeps_its_colour_round_a_grey_picture(studio: Studio) -> None:
    picture = studio.picture(
        pictures.make_png(200, 100), width=100, height=100, mode="pad", background="#ff0000",
        grayscale=True, format="png",
    )  # fmt: skip
    assert near(picture, (50, 5), RED)
    grey = picture.convert("RGB").getpixel((10, 30))
    assert isinstance(grey, tuple)
    assert len(set(grey)) == 1


def test_pad_never_goes_beyond_the_source_but_always_fills_the_box(studio: Studio) -> None:
    picture, outcome = studio.make(
        pictures.make_png(40, 20), width=100, height=100, mode="pad", format="png"
    )
    assert picture.size == (100, 100)
    assert near(picture, (32, 45), RED)
    assert near(picture, (5, 50), WHITE)
    assert [warning.code for warning in outcome.warnings] == ["not_enlarged"]


@pytest.mark.parametrize(
    ("fields", "upper_left"),
    [({"flip": True}, BLUE), ({"flop": True}, GREEN), ({"flip": True, "flop": True}, WHITE)],
)
def test_a_picture_is_turned_over(
    studio: Studio, fields: dict[str, bool], upper_left: tuple[int, ...]
) -> None:
    picture = studio.picture(pictures.make_png(64, 48), **fields, format="png")
    assert near(picture, (5, 5), upper_left)


def test_blur_takes_contrast_away_and_sharpen_adds_some(studio: Studio) -> None:
    data = pictures.make_stripes_png(128, 128)

    def contrast(**fields: Any) -> float:
        picture = studio.picture(data, format="png", **fields)
        return ImageStat.Stat(picture.convert("L")).stddev[0]

    plain = contrast()
    assert contrast(blur=5) < plain / 2
    assert contrast(blur=0.5) < 0.95 * plain
    soft = contrast(blur=1)
    assert contrast(blur=1, sharpen=2) >= soft


@pytest.mark.parametrize("sigma", [0.3, 1, 10, 100])
def test_blur_is_a_gaussian_up_to_the_edges(studio: Studio, sigma: float) -> None:
    data = pictures.make_png(90, 60)
    blurred = studio.picture(data, blur=sigma, format="png").convert("RGB")
    pixels = pictures.quarters(90, 60).tobytes()
    image = pyvips.Image.new_from_memory(pixels, 90, 60, 3, "uchar")
    assert blurred.tobytes() == bytes(image.gaussblur(sigma, min_ampl=0.05).write_to_memory())


def test_blur_does_not_pull_in_the_colour_of_what_is_transparent(studio: Studio) -> None:
    picture = studio.picture(pictures.make_sprite_png(64, 48), blur=3, format="png")
    assert picture.mode == "RGBA"
    plain = studio.picture(pictures.make_sprite_png(64, 48), format="png")
    opaque = 0
    for x in range(64):
        for y in range(48):
            colour = plain.getpixel((x, y))
            assert isinstance(colour, tuple)
            *rgb, alpha = colour
            if alpha == 255:
                opaque += 1
                assert near(picture.convert("RGB"), (x, y), tuple(rgb))
    assert opaque


@pytest.mark.parametrize(
    ("format_", "pillow"), [("avif", "AVIF"), ("gif", "GIF"), ("tiff", "TIFF")]
)
@pytest.mark.parametrize("grayscale", [False, True])
def test_the_format_is_the_one_asked_for(
    studio: Studio, format_: str, pillow: str, grayscale: bool
) -> None:
    for data in (pictures.make_jpeg(64, 48), pictures.make_sprite_png(64, 48)):
        picture, outcome = studio.make(data, width=40, format=format_, grayscale=grayscale)
        assert (picture.format, picture.size) == (pillow, (40, 30))
        assert outcome.outputs[0].format == format_
        assert not picture.info.get("exif")
        assert not picture.info.get("icc_profile")


@pytest.mark.parametrize("format_", ["avif", "gif", "tiff"])
def test_transparency_stays_where_the_format_has_it(studio: Studio, format_: str) -> None:
    picture = studio.picture(pictures.make_sprite_png(64, 48), format=format_)
    assert picture.convert("RGBA").getchannel("A").getextrema() == (0, 255)


def test_same_is_the_inputs_own_format(studio: Studio) -> None:
    for data, pillow in (
        (pictures.make_gif(64, 48), "GIF"),
        (pictures.make_tiff(64, 48), "TIFF"),
        (pictures.make_avif(64, 48), "AVIF"),
    ):
        assert studio.picture(data, width=32).format == pillow


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_preset_is_made(studio: Studio, name: str) -> None:
    recipe = json.loads(BUILT_IN[name].model_dump_json(exclude_unset=True))
    outcome = studio.run(pictures.make_jpeg(1200, 800), recipe["variants"])
    made = {output.variant: (output.width, output.height) for output in outcome.outputs}  # type: ignore[union-attr]
    assert made.keys() == {variant["name"] for variant in recipe["variants"]}
    if name == "square":
        assert made == {"square": (800, 800)}
    if name == "web":
        assert made["w960-avif"] == (960, 640)
        assert made["w1920-webp"] == (1200, 800)


@pytest.mark.parametrize("hidden", [(0, 0, 0, 0), (255, 255, 255, 0)])
@pytest.mark.parametrize("sharpen", [False, True, 2.0, 10.0])
def test_neither_shrinking_nor_sharpening_gives_a_cut_out_a_rim(
    studio: Studio, hidden: tuple[int, ...], sharpen: float
) -> None:
    source = Image.new("RGBA", (100, 100), hidden)
    source.paste((128, 128, 128, 255), (25, 25, 75, 75))
    for width in (100, 50, 33):
        picture = studio.picture(
            pictures.encode(source, "PNG"), width=width, sharpen=sharpen, format="png"
        ).convert("RGBA")
        row = [picture.getpixel((x, width // 2)) for x in range(width)]
        greys = {pixel[0] for pixel in row if isinstance(pixel, tuple) and pixel[3] > 200}
        assert greys
        assert max(abs(grey - 128) for grey in greys) <= 4
