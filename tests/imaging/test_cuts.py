"""Cropping, trimming and turning: which part is shown, which way up, and how large."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from imgsvc.domain.rendering import NeedsMemory, Rendered
from imgsvc.imaging import render as render_module
from imgsvc.imaging.decoding import Decoded, decode, load_options
from imgsvc.imaging.loaders import prepare
from imgsvc.imaging.plan import BasePlan, Cut, make_plan
from imgsvc.imaging.probe import probe
from imgsvc.imaging.source import Source
from imgsvc.recipes.placement import Box
from imgsvc.recipes.validation import parse_recipe
from tests import pictures
from tests.imaging.conftest import Studio
from tests.pictures import BLUE, GREEN, RED, WHITE

Colour = tuple[int, ...]


def near(picture: Image.Image, at: tuple[int, int], colour: Colour, tolerance: int = 40) -> bool:
    found = picture.convert("RGBA" if len(colour) == 4 else "RGB").getpixel(at)
    assert isinstance(found, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(found, colour, strict=True))


def corners(picture: Image.Image) -> list[str]:
    """Names of the colours in the corners, clockwise from the upper left."""
    names = {RED: "red", GREEN: "green", BLUE: "blue", WHITE: "white"}
    right, bottom = picture.width - 2, picture.height - 2
    return [
        next((name for colour, name in names.items() if near(picture, at, colour)), "none")
        for at in ((1, 1), (right, 1), (right, bottom), (1, bottom))
    ]


def framed(
    inner: tuple[int, int, int, int], border: Colour = WHITE, colour: Colour = RED
) -> Image.Image:
    """100 x 80, a rectangle (left, top, right, bottom) on a border."""
    mode = "RGBA" if len(border) == 4 else "RGB"
    picture = Image.new(mode, (100, 80), border)
    picture.paste(colour, inner)
    return picture


def test_crop_takes_the_rectangle_in_source_pixels(studio: Studio) -> None:
    data = pictures.make_png(64, 48)
    crop = {"left": 0, "top": 24, "width": 32, "height": 24}
    picture = studio.picture(data, crop=crop, format="png")
    assert picture.size == (32, 24)
    assert corners(picture) == ["blue"] * 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_crop_and_trim_speak_of_the_picture_as_it_is_seen(studio: Studio, orientation: int) -> None:
    data = pictures.make_oriented_jpeg(orientation, 64, 48)
    crop = {"left": 2, "top": 26, "width": 26, "height": 20}
    picture = studio.picture(data, crop=crop, format="png")
    assert picture.size == (26, 20)
    assert near(picture, (13, 10), BLUE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_trim_of_a_turned_picture_leaves_the_same_part(studio: Studio, orientation: int) -> None:
    """Stored turned back, so that the upright picture is always the same one."""
    upright = framed((10, 20, 40, 70))
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(back[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = studio.picture(pictures.encode(stored, "PNG", exif=exif), trim=True, format="png")
    assert picture.size == (30, 50)
    assert corners(picture) == ["red"] * 4


@pytest.mark.parametrize(
    "crop",
    [
        {"left": 60, "top": 0, "width": 5, "height": 5},
        {"left": 0, "top": 44, "width": 5, "height": 5},
        {"left": 64, "top": 0, "width": 1, "height": 1},
    ],
)
def test_a_crop_that_is_not_within_the_picture_fails_that_image(
    studio: Studio, crop: dict[str, int]
) -> None:
    failure = studio.fail(pictures.make_png(64, 48), crop=crop)
    assert failure.code == "output_too_large"
    assert "64x48" in failure.message


@pytest.mark.parametrize("left", [0, 1, 3, 800, 801])
@pytest.mark.parametrize("width", [800, 799, 1592])
def test_a_crop_that_the_decoder_shrinks_is_the_same_as_of_the_full_decode(
    studio: Studio, left: int, width: int
) -> None:
    source = Image.linear_gradient("L").resize((2400, 1600)).convert("RGB")
    data = pictures.encode(source, "JPEG", quality=95)
    crop = {"left": left, "top": left, "width": width, "height": 700}
    picture = studio.picture(data, crop=crop, width=100, format="png")
    expected = source.crop((left, left, left + width, left + 700)).resize(
        picture.size, Image.Resampling.LANCZOS
    )
    for at in ((0, 0), (99, picture.height - 1), (50, picture.height // 2)):
        assert near(picture, at, expected.getpixel(at), 3)  # type: ignore[arg-type]


def test_a_crop_along_the_decoders_grid_is_decoded_small(studio: Studio) -> None:
    path = studio.folder / "in"
    path.write_bytes(pictures.make_jpeg(2400, 1600))
    prepare()
    header = probe(str(path))

    def options(left: int) -> dict[str, float]:
        crop = {"left": left, "top": 0, "width": 1600, "height": 1600}
        recipe = parse_recipe({"variants": [{"name": "v", "crop": crop, "width": 60}]})
        return load_options(header, make_plan(recipe, header, {}).bases[0])

    assert [options(left) for left in (8, 4, 2, 1)] == [
        {"shrink": 8}, {"shrink": 4}, {"shrink": 2}, {},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("inner", "border", "colour"),
    [
        ((10, 20, 40, 70), WHITE, RED),
        ((10, 20, 40, 70), (0, 0, 0), WHITE),
        ((10, 20, 40, 70), (0, 0, 0, 0), (0, 0, 0, 255)),
        ((10, 20, 40, 70), (9, 9, 9, 255), (200, 0, 0, 255)),
        ((0, 1, 100, 80), WHITE, BLUE),
    ],
)
def test_trim_leaves_what_differs_from_the_corner(
    studio: Studio, inner: tuple[int, int, int, int], border: Colour, colour: Colour
) -> None:
    data = pictures.encode(framed(inner, border, colour), "PNG")
    picture = studio.picture(data, trim=True, format="png")
    assert picture.size == (inner[2] - inner[0], inner[3] - inner[1])
    assert near(picture, (0, 0), colour[:3], 3)


def test_the_threshold_says_what_still_counts_as_border(studio: Studio) -> None:
    data = pictures.encode(framed((10, 20, 40, 70), (200, 200, 200), (220, 220, 220)), "PNG")
    assert studio.picture(data, trim=30, format="png").size == (100, 80)
    assert studio.picture(data, trim=10, format="png").size == (30, 50)
    assert studio.picture(data, trim=0, format="png").size == (30, 50)


def test_a_picture_that_is_all_border_is_kept(studio: Studio) -> None:
    data = pictures.make_plain_png((7, 7, 7), 30, 20)
    assert studio.picture(data, trim=True, format="png").size == (30, 20)


def test_sizes_are_computed_from_what_crop_and_trim_leave(studio: Studio) -> None:
    data = pictures.encode(framed((10, 20, 40, 70)), "PNG")
    assert studio.picture(data, trim=True, width=15, format="png").size == (15, 25)
    crop = {"left": 0, "top": 30, "width": 60, "height": 50}
    picture = studio.picture(data, crop=crop, trim=True, height=20, format="png")
    assert picture.size == (15, 20)


@pytest.mark.parametrize("format_", ["GIF", "TIFF", "WEBP"])
def test_trim_of_other_formats(studio: Studio, format_: str) -> None:
    options = {"lossless": True} if format_ == "WEBP" else {}
    data = pictures.encode(framed((10, 20, 40, 70)), format_, **options)
    assert studio.picture(data, trim=True, format="png").size == (30, 50)


def test_a_deep_picture_is_trimmed_by_the_same_threshold(studio: Studio) -> None:
    lines = b"".join(
        b"\0" + b"".join(
            (b"\xf0\x00" if 4 <= x < 12 and 3 <= y < 9 else b"\x80\x30") * 3 for x in range(16)
        )
        for y in range(12)
    )  # fmt: skip
    data = pictures.png_file(16, 12, 16, 2, lines)
    assert studio.picture(data, trim=True, format="png").size == (8, 6)


@pytest.mark.parametrize(
    ("rotate", "expected"),
    [
        (0, ["red", "green", "white", "blue"]),
        (90, ["blue", "red", "green", "white"]),
        (180, ["white", "blue", "red", "green"]),
        (270, ["green", "white", "blue", "red"]),
    ],
)
def test_rotate_turns_clockwise(studio: Studio, rotate: int, expected: list[str]) -> None:
    picture = studio.picture(pictures.make_png(64, 48), rotate=rotate, format="png")
    assert corners(picture) == expected
    assert picture.size == ((48, 64) if rotate in (90, 270) else (64, 48))


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"width": 32}, (32, 43)),
        ({"height": 32}, (24, 32)),
        ({"width": 40, "height": 20}, (15, 20)),
        ({"width": 40, "height": 20, "mode": "fill"}, (40, 20)),
        ({"width": 40, "height": 20, "mode": "pad"}, (40, 20)),
        ({"width": 40, "height": 20, "mode": "force"}, (40, 20)),
    ],
)
def test_the_box_is_what_a_turned_variant_measures_in_the_end(
    studio: Studio, fields: dict[str, Any], size: tuple[int, int]
) -> None:
    picture = studio.picture(pictures.make_png(64, 48), rotate=90, format="png", **fields)
    assert picture.size == size


def test_variants_that_show_the_same_part_share_a_decode(studio: Studio) -> None:
    path = studio.folder / "in"
    path.write_bytes(pictures.make_png(64, 48))
    prepare()
    header = probe(str(path))
    crop = {"left": 0, "top": 0, "width": 32, "height": 24}
    recipe = parse_recipe({
        "variants": [
            {"name": "a", "crop": crop, "width": 10}, {"name": "b"},
            {"name": "c", "crop": crop}, {"name": "d", "trim": True},
        ]
    })  # fmt: skip
    plan = make_plan(recipe, header, {Cut(None, 10, 1): Box(1, 2, 3, 4)})
    shared = [[variant.variant.name for variant in base.variants] for base in plan.bases]
    assert shared == [["a", "c"], ["b"], ["d"]]
    assert plan.bases[0].size == (32, 24)


def test_outputs_keep_the_recipes_order_whatever_they_share(studio: Studio) -> None:
    crop = {"left": 0, "top": 0, "width": 32, "height": 24}
    outcome = studio.run(
        pictures.make_png(64, 48),
        [{"name": "a", "crop": crop}, {"name": "b"}, {"name": "c", "crop": crop}],
    )
    assert isinstance(outcome, Rendered)
    assert [output.variant for output in outcome.outputs] == ["a", "b", "c"]


def test_a_crop_of_a_very_thin_picture_is_where_it_was_asked_for(studio: Studio) -> None:
    """Three shrunk columns of twenty do not say by how much the decoder has shrunk."""
    source = Image.new("RGB", (20, 60_000), WHITE)
    source.paste(RED, (0, 30_000, 20, 30_400))
    crop = {"left": 0, "top": 30_000, "width": 20, "height": 400}
    picture = studio.picture(
        pictures.encode(source, "JPEG", quality=95), crop=crop, height=20, format="png"
    )
    assert picture.size == (1, 20)
    assert all(near(picture, (0, y), RED) for y in range(20))


def test_a_first_frame_is_trimmed_by_what_it_shows(studio: Studio) -> None:
    frames = [Image.new("RGB", (60, 40), WHITE) for _ in range(2)]
    frames[0].paste(RED, (10, 10, 30, 20))
    frames[1].paste(RED, (1, 1, 59, 39))
    data = pictures.encode(
        frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True, duration=50
    )
    outcome = studio.run(
        data,
        [
            {"name": "first", "trim": True, "format": "png"},
            {"name": "all", "trim": True, "format": "webp"},
        ],
    )
    assert isinstance(outcome, Rendered)
    assert [(o.width, o.height) for o in outcome.outputs] == [(20, 10), (58, 38)]


@pytest.mark.parametrize("threshold", [True, 0, 30])
def test_no_line_is_too_thin_to_be_content(studio: Studio, threshold: Any) -> None:
    source = Image.new("RGB", (100, 80), WHITE)
    source.paste(RED, (20, 30, 40, 50))
    source.paste((0, 0, 0), (70, 10, 71, 70))
    picture = studio.picture(pictures.encode(source, "PNG"), trim=threshold, format="png")
    assert picture.size == (51, 60)


@pytest.mark.parametrize("size", [(1, 1), (2, 50), (50, 2), (1, 9)])
def test_the_smallest_picture_can_be_trimmed(studio: Studio, size: tuple[int, int]) -> None:
    data = pictures.make_plain_png(RED, *size)
    assert studio.picture(data, trim=True, format="png").size == size


def test_looking_for_the_border_is_charged_before_it_is_done(studio: Studio) -> None:
    """A WebP is decoded whole for that, though its picture is then wanted small."""
    data = pictures.make_webp(3000, 2000)
    plain, trimmed = (
        studio.run(data, [{"name": "v", "width": 50, **fields}], memory_bytes=1)
        for fields in ({}, {"trim": True})
    )
    assert isinstance(plain, NeedsMemory)
    assert isinstance(trimmed, NeedsMemory)
    assert trimmed.cost_bytes > plain.cost_bytes + 3000 * 2000 * 4


def test_of_several_decodes_only_one_is_in_memory_at_a_time(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the probe opened would keep all that its decoder holds until the last variant."""
    seen: list[Source] = []

    def watch(source: Source, base: BasePlan) -> Decoded:
        seen.append(source)
        return decode(source, base)

    monkeypatch.setattr(render_module, "decode", watch)
    crops = [{"left": n, "top": 0, "width": 8, "height": 8} for n in range(3)]
    data = pictures.make_png(64, 48)
    studio.run(data, [{"name": f"v{n}", "crop": crop} for n, crop in enumerate(crops)])
    assert len({id(source) for source in seen}) == 3
    seen.clear()
    studio.run(data, [{"name": "a", "width": 20}, {"name": "b", "width": 10}])
    assert len(seen) == 1
