from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgsvc.domain.rendering import InputFacts, Rendered
from imgsvc.recipes.formats import resolve_format
from imgsvc.recipes.model import Mode
from imgsvc.recipes.presets import BUILT_IN
from imgsvc.recipes.sizes import Size, plan_size
from tests import pictures
from tests.imaging.conftest import Studio

sides = st.integers(1, 90)


def codes(outcome: Rendered) -> list[str]:
    return [warning.code.value for warning in outcome.warnings]


def test_the_facts_are_those_of_the_files(studio: Studio) -> None:
    variants = BUILT_IN["standard"].model_dump(mode="json")["variants"]
    outcome = studio.run(pictures.make_jpeg(1200, 900), variants)
    assert isinstance(outcome, Rendered)
    assert outcome.input == InputFacts("jpeg", 1200, 900, 1)
    assert [(o.variant, o.width, o.height) for o in outcome.outputs] == [
        ("standard", 800, 600),
        ("thumbnail", 200, 150),
        ("grayscale", 800, 600),
    ]
    for output in outcome.outputs:
        data = (studio.folder / f"out-{output.variant}.webp").read_bytes()
        assert output.size_bytes == len(data)
        assert output.sha256 == hashlib.sha256(data).hexdigest()
        assert studio.show(output.variant, "webp").size == (output.width, output.height)
    assert outcome.warnings == ()
    assert outcome.duration_ms >= 0


@pytest.mark.parametrize(
    ("data", "format_"),
    [
        (pictures.make_jpeg(), "jpeg"),
        (pictures.make_png(), "png"),
        (pictures.make_webp(), "webp"),
        (pictures.make_tiff(), "tiff"),
        (pictures.make_sprite_png(), "png"),
    ],
)
def test_same_is_the_format_of_the_input_where_it_can_be_written(
    studio: Studio, data: bytes, format_: str
) -> None:
    assert studio.make(data)[1].outputs[0].format == format_


def test_same_is_what_every_program_shows_for_a_format_that_is_not_written() -> None:
    assert resolve_format("same", "heic", has_alpha=True) == "png"
    assert resolve_format("same", "heic", has_alpha=False) == "jpeg"


@pytest.mark.parametrize("colour", [(9,), (9, 9, 9), (9, 9, 9, 99)])
def test_a_picture_can_be_made_as_small_as_a_pixel(studio: Studio, colour: pictures.Colour) -> None:
    picture = studio.picture(pictures.make_plain_png(colour, 8, 8), width=1)
    assert picture.size == (1, 1)
    assert len(picture.getbands()) == len(colour)


def test_quality_decides_the_size_of_the_file(studio: Studio) -> None:
    def size_bytes(format_: str, **fields: Any) -> int:
        _, outcome = studio.make(pictures.make_png(300, 200), format=format_, **fields)
        return outcome.outputs[0].size_bytes

    for format_ in ("jpeg", "webp"):
        assert size_bytes(format_, quality=20) < size_bytes(format_, quality=95)
        assert size_bytes(format_) == size_bytes(format_, quality=85)


def test_quality_is_ignored_with_a_warning_only_where_it_was_asked_for(studio: Studio) -> None:
    assert codes(studio.make(pictures.make_png(), quality=50)[1]) == ["quality_ignored"]
    assert codes(studio.make(pictures.make_png())[1]) == []


def test_what_is_not_enlarged_is_told_once_for_all_variants(studio: Studio) -> None:
    variants = [{"name": name, "width": 500, "height": 500} for name in ("a", "b")]
    outcome = studio.run(pictures.make_png(), variants)
    assert isinstance(outcome, Rendered)
    assert codes(outcome) == ["not_enlarged"]
    assert outcome.warnings[0].variants == ("a", "b")


@pytest.mark.parametrize("format_", ["GIF", "WEBP"])
def test_only_the_first_frame_is_kept_and_that_is_told_unless_it_was_asked_for(
    studio: Studio, format_: str
) -> None:
    data = pictures.make_animation(format_)
    _, outcome = studio.make(data, format="png")
    assert outcome.input.frames == 3
    assert outcome.outputs[0].frames == 1
    assert codes(outcome) == ["animation_dropped"]
    assert codes(studio.make(data, format="png", animation="first")[1]) == []


def test_metadata_is_stripped(studio: Studio) -> None:
    exif = Image.Exif()
    exif[315] = "somebody"
    data = pictures.make_jpeg(exif=exif, comment=b"secret")
    for format_ in ("jpeg", "png", "webp"):
        picture = studio.picture(data, format=format_)
        assert not dict(picture.getexif())
        assert "comment" not in picture.info
        assert "xmp" not in picture.info


def test_a_name_that_looks_like_loader_options_is_only_a_name(studio: Studio) -> None:
    folder = studio.folder / "a.jpg[shrink=8]"
    folder.mkdir()
    assert Studio(folder).picture(pictures.make_jpeg()).size == (64, 48)


def test_variants_of_other_ratios_share_one_decode_and_keep_the_colours(studio: Studio) -> None:
    variants = [
        {"name": "wide", "width": 1500, "height": 20, "mode": "force", "format": "png"},
        {"name": "tall", "width": 20, "height": 1100, "mode": "force", "format": "png"},
        {"name": "large", "width": 3000, "height": 2400, "enlarge": True, "format": "png"},
        {"name": "small", "width": 3, "height": 3, "format": "png"},
    ]
    outcome = studio.run(pictures.make_jpeg(1600, 1200), variants)
    assert isinstance(outcome, Rendered)
    sizes = {output.variant: (output.width, output.height) for output in outcome.outputs}
    assert sizes == {"wide": (1500, 20), "tall": (20, 1100), "large": (3000, 2250), "small": (3, 2)}
    for name, (width, height) in sizes.items():
        picture = studio.show(name, "png")
        assert picture.size == (width, height)
        if name != "small":
            red, green, blue = picture.getpixel((2, 2))  # type: ignore[misc]
            assert red > 240
            assert max(green, blue) < 15


@settings(max_examples=60)
@given(
    source=st.builds(Size, sides, sides),
    box=st.tuples(st.none() | sides, st.none() | sides),
    mode=st.sampled_from(["fit", "force"]),
    enlarge=st.booleans(),
    orientation=st.sampled_from([1, 6, 7]),
)
def test_every_size_comes_out_exactly_as_computed(
    source: Size, box: tuple[int | None, int | None], mode: Mode, enlarge: bool, orientation: int
) -> None:
    expected = plan_size(source, *box, mode, enlarge=enlarge)
    data = pictures.make_oriented_jpeg(orientation, *source)
    fields = {"width": box[0], "height": box[1], "mode": mode, "enlarge": enlarge}
    with tempfile.TemporaryDirectory() as folder:
        picture = Studio(Path(folder)).picture(data, format="jpeg", **fields)
    assert picture.size == expected.canvas


@pytest.mark.parametrize("side", [1, 7, 124, 125, 126, 250, 333, 499, 500, 999])
@pytest.mark.parametrize("make", [pictures.make_jpeg, pictures.make_webp])
def test_sizes_are_exact_whatever_the_decoder_shrinks_by(
    studio: Studio, make: Any, side: int
) -> None:
    data = make(1499, 1001)
    expected = plan_size(Size(1499, 1001), side, side, "fit", enlarge=False).canvas
    assert studio.picture(data, width=side, height=side, format="png").size == expected
