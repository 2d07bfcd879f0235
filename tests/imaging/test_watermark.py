"""Marks over pictures: where they lie, how large, and what they leave alone."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pyvips
from PIL import Image, ImageChops

from imgsvc.domain.rendering import NeedsMemory, Rendered
from imgsvc.imaging import lettering
from imgsvc.imaging.kept import KeptImages
from imgsvc.imaging.loaders import prepare
from imgsvc.recipes.sizes import Size
from tests import pictures
from tests.imaging.conftest import Studio
from tests.pictures import encode

Box = tuple[int, int, int, int]
GREY = (100, 100, 100)
RED = (200, 20, 20)


def plain(width: int, height: int, colour: Any = GREY, mode: str = "RGB") -> bytes:
    return encode(Image.new(mode, (width, height), colour), "PNG")


def mark(width: int = 100, height: int = 50, colour: Any = (*RED, 255)) -> bytes:
    return encode(Image.new("RGBA", (width, height), colour), "PNG")


def changed(picture: Image.Image, colour: Any = GREY) -> Box | None:
    """Where the picture is not of its one colour any more; right and bottom are outside."""
    rgb = picture.convert("RGB")
    return ImageChops.difference(rgb, Image.new("RGB", rgb.size, colour)).getbbox()


def laid(studio: Studio, size: tuple[int, int], **fields: Any) -> Image.Image:
    """A plain picture of this size, with the mark `logo`."""
    wanted = {"preset_image": "logo", "opacity": 1, **fields}
    return studio.picture(plain(*size), format="png", watermark=wanted)


def written(studio: Studio, text: str, size: tuple[int, int] = (400, 300), **fields: Any) -> Any:
    wanted = {"text": text, "opacity": 1, **fields}
    return studio.picture(plain(*size), format="png", watermark=wanted)


@pytest.fixture
def studio(studio: Studio) -> Studio:
    studio.marks["logo"] = mark()
    return studio


@pytest.mark.parametrize(
    ("fields", "box"),
    [
        ({}, (284, 234, 384, 284)),
        ({"gravity": "northwest"}, (16, 16, 116, 66)),
        ({"gravity": "centre"}, (150, 125, 250, 175)),
        ({"gravity": "north", "margin": 3}, (150, 3, 250, 53)),
        ({"gravity": "east", "margin": 0}, (300, 125, 400, 175)),
        ({"gravity": {"x": 0.5, "y": 0}, "margin": 10}, (150, 10, 250, 60)),
        ({"scale": 0.5}, (184, 184, 384, 284)),
        ({"scale": 1}, (16, 100, 384, 284)),
        ({"scale": 0, "gravity": "northwest"}, (16, 16, 17, 17)),
    ],
    ids=str,
)
def test_a_mark_lies_where_gravity_and_margin_say(
    studio: Studio, fields: dict[str, Any], box: Box
) -> None:
    picture = laid(studio, (400, 300), **fields)
    assert picture.size == (400, 300)
    assert changed(picture) == box
    assert picture.getpixel(box[:2]) == RED


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 500), (500, 3), (15, 15)])
@pytest.mark.parametrize("form", [(1, 900), (900, 1), (7, 7)])
def test_a_mark_fits_the_smallest_picture(
    studio: Studio, size: tuple[int, int], form: tuple[int, int]
) -> None:
    studio.marks["logo"] = mark(*form)
    for scale in (0.01, 1):
        picture = laid(studio, size, scale=scale, margin=16)
        assert picture.size == size
        assert changed(picture) is not None


def test_a_tall_mark_is_made_smaller_until_it_fits(studio: Studio) -> None:
    studio.marks["logo"] = mark(100, 1000)
    assert changed(laid(studio, (400, 300), scale=0.5)) == (357, 16, 384, 284)


def test_opacity_thins_the_mark_and_zero_takes_it_away(studio: Studio) -> None:
    half = laid(studio, (400, 300), opacity=0.5).getpixel((300, 250))
    assert isinstance(half, tuple)
    assert all(abs(a - b) <= 1 for a, b in zip(half, (150, 60, 60), strict=True))
    assert changed(laid(studio, (400, 300), opacity=0)) is None


def test_what_is_transparent_in_the_mark_leaves_no_trace(studio: Studio) -> None:
    """Also not at its edge, whatever colour it hides."""
    logo = Image.new("RGBA", (400, 400), (0, 255, 0, 0))
    logo.paste((*RED, 255), (100, 100, 300, 300))
    studio.marks["logo"] = encode(logo, "PNG")
    picture = laid(studio, (333, 333), gravity="centre", scale=0.37)
    assert picture.getextrema()[1][1] <= GREY[1] + 1  # type: ignore[index]


@pytest.mark.parametrize("format_", ["png", "webp"])
def test_a_transparent_picture_stays_so_beside_the_mark(studio: Studio, format_: str) -> None:
    data = plain(400, 300, (100, 100, 100, 0), "RGBA")
    wanted = {"preset_image": "logo", "opacity": 1}
    picture = studio.picture(data, format=format_, watermark=wanted, lossless=False)
    assert picture.mode == "RGBA"
    assert picture.getpixel((10, 10))[3] == 0  # type: ignore[index]
    inside = picture.getpixel((334, 259))
    assert isinstance(inside, tuple)
    assert inside[3] == 255
    assert all(abs(a - b) <= 6 for a, b in zip(inside[:3], RED, strict=True))


def test_an_opaque_picture_gets_no_alpha(studio: Studio) -> None:
    assert laid(studio, (400, 300), opacity=0.3).mode == "RGB"


def test_a_grey_picture_is_coloured_by_a_coloured_mark_alone(studio: Studio) -> None:
    studio.marks["pale"] = mark(colour=(230, 230, 230, 255))
    for name, mode in (("logo", "RGB"), ("pale", "L")):
        picture = studio.picture(
            plain(400, 300), format="png", grayscale=True,
            watermark={"preset_image": name, "opacity": 1},
        )  # fmt: skip
        assert picture.mode == mode
    assert studio.picture(
        plain(40, 30), format="png", grayscale=True, watermark={"text": "grey"}
    ).mode == "L"  # fmt: skip


def test_the_mark_is_neither_blurred_nor_padded_away(studio: Studio) -> None:
    """It comes after all other steps, and lies on the variant, padding included."""
    picture = studio.picture(
        plain(400, 100), format="png", width=200, height=200, mode="pad", blur=5,
        watermark={"preset_image": "logo", "opacity": 1, "margin": 0},
    )  # fmt: skip
    assert picture.getpixel((199, 199)) == RED
    assert picture.getpixel((150, 175)) == RED
    assert picture.getpixel((149, 175)) == (255, 255, 255)


def test_every_variant_has_its_own_mark(studio: Studio) -> None:
    studio.marks["blue"] = mark(colour=(0, 0, 250, 255))
    outcome = studio.run(
        plain(400, 300),
        [
            {"name": "a", "format": "png", "watermark": {"preset_image": "logo", "opacity": 1}},
            {"name": "b", "format": "png", "watermark": {"preset_image": "blue", "opacity": 1}},
            {"name": "c", "format": "png"},
        ],
    )
    assert isinstance(outcome, Rendered)
    assert studio.show("a", "png").getpixel((300, 250)) == RED
    assert studio.show("b", "png").getpixel((300, 250)) == (0, 0, 250)
    assert changed(studio.show("c", "png")) is None


def test_what_a_mark_takes_is_counted_before_anything_is_decoded(studio: Studio) -> None:
    data = plain(40, 30)
    plainly = studio.run(data, [{"name": "v"}], memory_bytes=0)
    marked = studio.run(
        data, [{"name": "v", "watermark": {"preset_image": "logo"}}], memory_bytes=0
    )
    assert isinstance(plainly, NeedsMemory)
    assert isinstance(marked, NeedsMemory)
    assert marked.cost_bytes > plainly.cost_bytes + 2048 * 2048 * 4


@pytest.mark.parametrize("scale", [0.1, 0.25, 0.5, 0.9])
def test_text_is_as_wide_as_scale_says(studio: Studio, scale: float) -> None:
    box = changed(written(studio, "© Studio Nord", (800, 600), scale=scale, gravity="west"))
    assert box is not None
    assert 14 <= box[0] <= 20
    assert abs(box[2] - box[0] - 800 * scale) <= 4 + 800 * scale / 50


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (128, 128, 128)])
def test_text_reads_on_light_and_on_dark(studio: Studio, colour: Any) -> None:
    picture = studio.picture(
        plain(400, 300, colour), format="png", watermark={"text": "Nord", "opacity": 1}
    )
    low, high = picture.convert("L").crop((280, 230, 390, 290)).getextrema()
    assert high - low > 150  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    [
        "A & B <b>bold</b> &amp;",
        "<span",
        "two\nlines",
        "\n leading and trailing \n",
        "שלום עולם",
        "مرحبا بالعالم",
        "\u202eright to left",
        "😀 你好 \U000f0000 \ufffe",
        "e\u0301\u0301\u0301",
        "\u0301",
        "x" * 500,
        "W" * 500,
        "\ufdfa" * 500,
        "W" + "\n" * 498 + "W",
        "\n".join("x" * 250),
        ".",
    ],
    ids=ascii,
)
def test_any_text_is_written_and_never_read_as_markup(studio: Studio, text: str) -> None:
    for size in ((400, 300), (9, 200)):
        picture = written(studio, text, size, scale=0.6)
        assert picture.size == size
    assert changed(written(studio, text, scale=0.6)) is not None


def test_markup_is_shown_as_it_stands(studio: Studio) -> None:
    shown, plainly = (lettering.measure(text) for text in ("<b>A</b>", "A"))
    assert shown is not None
    assert plainly is not None
    assert shown.width > 3 * plainly.width


def test_text_of_which_nothing_shows_leaves_the_picture_as_it_was(studio: Studio) -> None:
    assert changed(written(studio, "\u2800")) is None


def test_large_text_is_drawn_large_and_not_blown_up(studio: Studio) -> None:
    """Its edges are as sharp as those of small text."""
    prepare()
    drawn = lettering.draw("I", Size(600, 900))
    row = [drawn.getpoint(x, 450)[0] for x in range(600)]
    assert sum(0 < value < 255 for value in row) <= 6


def test_a_mark_may_be_larger_than_text_can_be_drawn() -> None:
    prepare()
    size = Size(40_000, 900)
    drawn = lettering.draw("i" * 60, size)
    assert (drawn.width, drawn.height) == size
    assert drawn.max() == 255


def test_text_needs_no_font_of_the_machine_and_writes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "from imgsvc.imaging.loaders import prepare; prepare()\n"
        "from imgsvc.imaging import lettering\n"
        "mark = lettering.draw('A \\u05e9 \\U0001f600', lettering.Size(90, 40))\n"
        "print(mark.width, mark.height, mark.max())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "FONTCONFIG_PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "90 40 255.0\n"
    assert done.stderr == ""
    assert list(home.iterdir()) == []


def test_the_font_comes_with_its_licence() -> None:
    folder = Path(lettering.__file__).parent / "fonts"
    assert "Bitstream Vera" in (folder / "LICENSE-DejaVu.txt").read_text()
    assert (folder / "DejaVuSans-Bold.ttf").stat().st_size > 100_000


def test_kept_images_are_bounded_and_the_latest_used_stay() -> None:
    prepare()
    made: list[str] = []

    def ask(kept: KeptImages, key: str, side: int) -> None:
        def make() -> Any:
            made.append(key)
            return pyvips.Image.black(side, side)

        kept.get(key, make)

    kept = KeptImages(2 * 100 * 100)
    for key in ("a", "b", "a", "c", "a", "b"):
        ask(kept, key, 100)
    assert made == ["a", "b", "c", "b"]
    ask(kept, "large", 200)
    ask(kept, "large", 200)
    ask(kept, "a", 100)
    assert made == ["a", "b", "c", "b", "large", "large"]


def test_a_mark_of_earlier_content_is_not_used_for_a_later_one(studio: Studio) -> None:
    assert laid(studio, (400, 300)).getpixel((300, 250)) == RED
    studio.marks["logo"] = mark(colour=(1, 2, 3, 255))
    assert laid(studio, (400, 300)).getpixel((300, 250)) == (1, 2, 3)


def test_animated_and_photographic_marks_are_kept_as_png(studio: Studio) -> None:
    data = pictures.make_jpeg(3000, 1500)
    picture = studio.picture(data, width=2048, height=2048, format="png", animation="first")
    assert picture.size == (2048, 1024)
    studio.marks["logo"] = encode(picture, "PNG")
    box = changed(laid(studio, (400, 300)))
    assert box == (284, 234, 384, 284)
    assert io.BytesIO(studio.marks["logo"]).read(4) == b"\x89PNG"


@pytest.mark.parametrize("text", ["W" * 500, "m" * 500, "\U0001f600" * 500, "x\n" * 249 + "x"])
def test_the_longest_text_is_drawn(studio: Studio, text: str) -> None:
    for width in (50, 2000):
        picture = studio.picture(
            pictures.make_jpeg(width, width), format="png", watermark={"text": text, "scale": 1}
        )
        assert picture.size == (width, width)
