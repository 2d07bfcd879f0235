"""Pictures that move stay in step: every frame alike, and the time they take."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageSequence

from imgsvc.domain.rendering import DecodeLimits
from tests import pictures
from tests.imaging.conftest import Studio

Frame = Image.Image
COLOURS = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)]


def make(frames: list[Frame], format_: str = "GIF", duration: Any = 70, **options: Any) -> bytes:
    stream = BytesIO()
    extra = {"lossless": True} if format_ == "WEBP" else {"disposal": 2}
    frames[0].save(
        stream, format_, save_all=True, append_images=frames[1:], duration=duration, loop=0,
        **extra, **options,
    )  # fmt: skip
    return stream.getvalue()


def plain(size: tuple[int, int] = (40, 30)) -> list[Frame]:
    return [Image.new("RGB", size, colour) for colour in COLOURS]


def frames_of(studio: Studio, format_: str) -> tuple[list[Frame], list[int]]:
    """Every frame as it is shown, and for how many milliseconds."""
    shown, times = [], []
    with Image.open(studio.folder / f"out-v.{format_}") as picture:
        for frame in ImageSequence.Iterator(picture):
            shown.append(frame.convert("RGBA"))
            times.append(int(frame.info["duration"]))
    return shown, times


@pytest.mark.parametrize("source", ["GIF", "WEBP"])
@pytest.mark.parametrize("target", ["gif", "webp"])
def test_all_frames_are_kept_with_their_times_and_colours(
    studio: Studio, source: str, target: str
) -> None:
    times = [50, 100, 200, 300]
    _, outcome = studio.make(make(plain(), source, times), format=target, width=20)
    assert (outcome.input.frames, outcome.outputs[0].frames) == (4, 4)
    assert (outcome.outputs[0].width, outcome.outputs[0].height) == (20, 15)
    frames, shown_ms = frames_of(studio, target)
    assert shown_ms == times
    for frame, colour in zip(frames, COLOURS, strict=True):
        found = frame.getpixel((10, 7))
        assert isinstance(found, tuple)
        assert all(abs(a - b) <= 12 for a, b in zip(found, (*colour, 255), strict=True))


def test_no_frame_bleeds_into_its_neighbour(studio: Studio) -> None:
    studio.make(make(plain((40, 31))), format="webp", height=10, lossless=True)
    frames, _ = frames_of(studio, "webp")
    for frame, colour in zip(frames, COLOURS, strict=True):
        edges = {frame.getpixel((x, y)) for x in range(frame.width) for y in (0, 9)}
        assert edges == {(*colour, 255)}


def test_frames_that_joined_are_counted_once_and_take_as_long(studio: Studio) -> None:
    twice = [frame for frame in plain() for _ in range(2)]
    data = make(twice, "WEBP", 40)
    _, outcome = studio.make(data, format="gif")
    _, times = frames_of(studio, "gif")
    assert outcome.outputs[0].frames == len(times) == 4
    assert sum(times) == 8 * 40


@pytest.mark.parametrize("format_", ["jpeg", "png", "avif", "tiff"])
def test_formats_that_stand_still_show_the_first_frame(studio: Studio, format_: str) -> None:
    picture, outcome = studio.make(make(plain()), format=format_)
    assert outcome.outputs[0].frames == 1
    assert [warning.code for warning in outcome.warnings] == ["animation_dropped"]
    assert picture.size == (40, 30)


@pytest.mark.parametrize("format_", ["gif", "webp"])
def test_the_first_frame_alone_can_be_asked_for(studio: Studio, format_: str) -> None:
    _, outcome = studio.make(make(plain()), format=format_, animation="first")
    assert outcome.outputs[0].frames == 1
    assert outcome.warnings == ()


def test_every_operation_works_on_every_frame(studio: Studio) -> None:
    frames = [pictures.quarters(64, 48).convert("RGB") for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.putpixel((3 * number, 3), (1, 2, 3))
    _, outcome = studio.make(
        make(frames, "WEBP"), crop={"left": 0, "top": 0, "width": 64, "height": 24}, width=20,
        height=20, mode="pad", rotate=90, flip=True, grayscale=True, blur=0.5, sharpen=True,
        background="#00f", format="webp", lossless=True,
    )  # fmt: skip
    assert (outcome.outputs[0].width, outcome.outputs[0].height) == (20, 20)
    shown, _ = frames_of(studio, "webp")
    assert len(shown) == 3
    for frame in shown:
        assert frame.getpixel((0, 10)) == (0, 0, 255, 255)
        red, green, blue, _ = frame.getpixel((10, 10))  # type: ignore[misc]
        assert red == green == blue


@pytest.mark.parametrize("gravity", ["attention", "entropy"])
def test_what_is_worth_seeing_is_looked_for_once(studio: Studio, gravity: str) -> None:
    """A spot that jumps about does not take the picture with it."""
    frames = []
    for number in range(3):
        frame = Image.new("RGB", (120, 30), (40, 40, 40))
        frame.paste(Image.effect_noise((20, 20), 90).convert("RGB"), (40 * number, 5))
        frame.paste((255, 0, 0), (58, 0, 62, 30))
        frames.append(frame)
    studio.make(
        make(frames, "WEBP"), width=70, height=30, mode="fill", gravity=gravity,
        format="webp", lossless=True,
    )  # fmt: skip
    shown, _ = frames_of(studio, "webp")
    stripes = {
        next(x for x in range(70) if frame.getpixel((x, 29)) == (255, 0, 0, 255)) for frame in shown
    }
    assert len(shown) == 3
    assert len(stripes) == 1


def test_trim_leaves_what_any_frame_shows(studio: Studio) -> None:
    frames = []
    for number in range(3):
        frame = Image.new("RGB", (60, 40), (255, 255, 255))
        frame.paste((0, 0, 200), (10 + 10 * number, 5 + 5 * number, 20 + 10 * number, 20))
        frames.append(frame)
    _, outcome = studio.make(make(frames, "WEBP"), trim=True, format="webp")
    assert (outcome.outputs[0].width, outcome.outputs[0].height) == (30, 15)


def test_transparent_frames_stay_transparent(studio: Studio) -> None:
    frames = [Image.new("RGBA", (20, 20), (0, 0, 0, 0)) for _ in range(2)]
    for number, frame in enumerate(frames):
        frame.paste((200, 0, 0, 255), (10 * number, 0, 10 * number + 10, 20))
    studio.make(make(frames, "WEBP"), format="gif")
    shown, _ = frames_of(studio, "gif")
    assert [frame.getpixel((15, 10))[3] for frame in shown] == [0, 255]  # type: ignore[index]


def test_variants_that_move_and_that_stand_share_a_decode(studio: Studio) -> None:
    outcome = studio.run(
        make(plain()), [{"name": "v", "format": "webp"}, {"name": "w", "format": "png"}]
    )
    assert [output.frames for output in outcome.outputs] == [4, 1]  # type: ignore[union-attr]


def test_more_frames_than_allowed_are_refused_before_any_is_decoded(studio: Studio) -> None:
    studio.limits = DecodeLimits(max_pixels=10**8, max_frames=3)
    assert studio.fail(make(plain())).code == "too_many_frames"


def test_pixels_are_counted_over_all_frames(studio: Studio) -> None:
    studio.limits = DecodeLimits(max_pixels=4 * 40 * 30 - 1, max_frames=256)
    assert studio.fail(make(plain())).code == "too_many_pixels"


def test_a_strip_taller_than_the_format_allows_is_no_hindrance(studio: Studio) -> None:
    frames = [Image.new("RGB", (4, 200), (n, 255 - n, 0)) for n in range(0, 200, 2)]
    _, outcome = studio.make(make(frames, "WEBP"), format="webp", lossless=True)
    assert (outcome.outputs[0].frames, outcome.outputs[0].height) == (100, 200)


@pytest.mark.parametrize("kind", ["PNG", "AVIF"])
def test_an_animation_that_cannot_be_read_is_told_to_stand_still(studio: Studio, kind: str) -> None:
    frames = plain()
    data = pictures.encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    for format_ in ("same", "webp"):
        _, outcome = studio.make(data, format=format_)
        assert outcome.input.frames > 1
        assert outcome.outputs[0].frames == 1
        assert [str(w.code) for w in outcome.warnings] == ["animation_dropped"]
    assert studio.make(data, animation="first")[1].warnings == ()
