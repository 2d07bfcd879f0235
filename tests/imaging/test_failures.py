from __future__ import annotations

import errno
import struct
from io import BytesIO
from pathlib import Path

import pytest
import pyvips
from PIL import Image, TiffTags
from PIL.TiffImagePlugin import (
    COMPRESSION,
    PHOTOMETRIC_INTERPRETATION,
    TILEBYTECOUNTS,
    TILEOFFSETS,
)

from imgsvc.domain.rendering import DecodeLimits, NeedsMemory, Rendered, RenderFailed
from imgsvc.errors import ImageErrorCode
from imgsvc.imaging import pipeline
from tests import pictures
from tests.imaging.conftest import Studio

WHOLE = {
    "jpeg": pictures.make_jpeg(200, 150),
    "progressive": pictures.make_progressive_jpeg(200, 150),
    "png": pictures.make_png(200, 150),
    "webp": pictures.make_webp(200, 150),
    "gif": pictures.make_gif(200, 150),
    "animated gif": pictures.make_animation("GIF"),
    "animated webp": pictures.make_animation("WEBP"),
    "tiff": pictures.make_tiff(200, 150),
    "lzw": pictures.make_tiff(200, 150, compression="tiff_lzw"),
    "avif": pictures.make_avif(200, 150),
}


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("format_", WHOLE)
def test_a_file_that_is_cut_off_is_corrupt_in_every_format(
    studio: Studio, format_: str, share: float
) -> None:
    failure = studio.fail(pictures.cut(WHOLE[format_], share), width=50)
    assert failure.code is ImageErrorCode.CORRUPT_IMAGE
    assert str(studio.folder) not in failure.message


def _make_tiles(compression: str) -> bytes:
    tile = {"tile": True, "tile_width": 64, "tile_height": 64}
    noise = pyvips.Image.gaussnoise(256, 256, mean=128, sigma=40).cast("uchar")
    picture = noise.bandjoin([90, 160]).copy(interpretation="srgb")
    return bytes(picture.tiffsave_buffer(compression=compression, **tile))


def _tile_places(data: bytes) -> list[tuple[int, int]]:
    """Offset and length of each."""
    with Image.open(BytesIO(data)) as picture:
        tags = picture.tag_v2  # type: ignore[attr-defined]
        return list(zip(tags[TILEOFFSETS], tags[TILEBYTECOUNTS], strict=True))


@pytest.mark.parametrize("compression", ["lzw", "deflate", "webp"])
def test_a_tiff_with_a_damaged_tile_is_corrupt(studio: Studio, compression: str) -> None:
    data = _make_tiles(compression)
    start, size = _tile_places(data)[-1]
    damaged = data[:start] + b"\xff" * size + data[start + size :]
    assert studio.fail(damaged, width=50).code is ImageErrorCode.CORRUPT_IMAGE
    assert isinstance(studio.run(data, [{"name": "whole"}]), Rendered)


def test_a_tiff_that_ends_before_its_last_tile_is_corrupt(studio: Studio) -> None:
    data = _make_tiles("none")
    start, _ = _tile_places(data)[-1]
    beyond = data.replace(struct.pack("<I", start), struct.pack("<I", len(data) - 10))
    assert studio.fail(beyond, width=50).code is ImageErrorCode.CORRUPT_IMAGE


def test_tiles_that_libtiff_cannot_unpack_are_unsupported_and_the_next_file_is_not(
    studio: Studio,
) -> None:
    """Tiles of the old kind of JPEG (TIFF 6.0, section 22), by what their tags say."""
    data = bytearray(_make_tiles("none"))
    for tag in (COMPRESSION, PHOTOMETRIC_INTERPRETATION):
        entry = data.rindex(struct.pack("<HHI", tag, TiffTags.SHORT, 1))
        struct.pack_into("<H", data, entry + 8, 6)
    assert studio.fail(bytes(data)).code is ImageErrorCode.UNSUPPORTED_FORMAT
    progressive = WHOLE["progressive"]
    failure = studio.fail(progressive[: len(progressive) // 2])
    assert failure.code is ImageErrorCode.CORRUPT_IMAGE


@pytest.mark.parametrize("trailer", [b"", b";\x00\x00", b";and more"])
def test_a_gif_is_whole_whatever_follows_its_last_frame(studio: Studio, trailer: bytes) -> None:
    data = pictures.make_animation("GIF").removesuffix(b";") + trailer
    assert isinstance(studio.run(data, [{"name": "v"}]), Rendered)


@pytest.mark.parametrize(
    "data",
    [
        pictures.make_svg(),
        b"%PDF-1.7 and so on",
        b"hello",
        b"#width 3\n1 2 3\n",
        b"\x00",
        b"BM" + bytes(60),
        b"\x00\x00\x00\x18ftypmp42" + bytes(40),
    ],
    ids=["svg", "pdf", "text", "matrix", "zero", "bmp", "mp4"],
)
def test_what_is_not_a_known_image_is_unsupported(studio: Studio, data: bytes) -> None:
    assert studio.fail(data).code is ImageErrorCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x10\x00\x00\x00WEBPVP8 ",
        b"II*\x00\x08\x00\x00\x00",
        pictures.make_jpeg()[:100] + b"garbage" * 40,
    ],
    ids=["jpeg", "png", "gif", "webp", "tiff", "garbage"],
)
def test_a_known_start_with_nonsense_after_it_is_corrupt(studio: Studio, data: bytes) -> None:
    assert studio.fail(data).code is ImageErrorCode.CORRUPT_IMAGE


def test_no_bytes_are_an_empty_image(studio: Studio) -> None:
    assert studio.fail(b"").code is ImageErrorCode.EMPTY_IMAGE


def test_a_gigapixel_header_is_refused_before_any_pixel(studio: Studio) -> None:
    outcome = studio.run(pictures.make_bomb_png(), [{"name": "v", "width": 100}])
    assert isinstance(outcome, RenderFailed)
    assert outcome.failure.code is ImageErrorCode.TOO_MANY_PIXELS
    assert outcome.input is not None
    assert outcome.input.width == 65536


def test_pixels_are_limited_exactly_and_summed_over_frames(studio: Studio) -> None:
    animation = pictures.make_animation(frames=3, width=32, height=24)
    studio.limits = DecodeLimits(3 * 32 * 24, 256)
    assert isinstance(studio.run(animation, [{"name": "v"}]), Rendered)
    studio.limits = DecodeLimits(3 * 32 * 24 - 1, 256)
    failure = studio.run(animation, [{"name": "v"}])
    assert isinstance(failure, RenderFailed)
    assert failure.failure.code is ImageErrorCode.TOO_MANY_PIXELS


@pytest.mark.parametrize("format_", ["GIF", "WEBP"])
def test_frames_are_limited(studio: Studio, format_: str) -> None:
    animation = pictures.make_animation(format_, frames=4)
    studio.limits = DecodeLimits(100_000_000, 4)
    assert isinstance(studio.run(animation, [{"name": "w"}]), Rendered)
    (studio.folder / f"out-w.{format_.lower()}").unlink()
    studio.limits = DecodeLimits(100_000_000, 3)
    assert studio.fail(animation).code is ImageErrorCode.TOO_MANY_FRAMES


def test_a_side_beyond_what_the_format_can_hold_is_refused(studio: Studio) -> None:
    wide = pictures.make_plain_png((9,), 16_384, 1)
    assert studio.fail(wide, format="webp").code is ImageErrorCode.OUTPUT_TOO_LARGE
    assert studio.picture(wide, format="jpeg").size == (16_384, 1)


def test_a_side_that_follows_the_ratio_cannot_grow_without_end(studio: Studio) -> None:
    tall = pictures.make_plain_png((9,), 1, 100)
    failure = studio.fail(tall, format="png", width=1000, enlarge=True)
    assert failure.code is ImageErrorCode.OUTPUT_TOO_LARGE


def test_more_memory_than_given_is_asked_for_and_nothing_is_made(studio: Studio) -> None:
    variants = [{"name": "v", "width": 100}]
    outcome = studio.run(pictures.make_jpeg(800, 600), variants, memory_bytes=1000)
    assert isinstance(outcome, NeedsMemory)
    assert studio.outputs() == []
    granted = studio.run(pictures.make_jpeg(800, 600), variants, outcome.cost_bytes)
    assert isinstance(granted, Rendered)


def test_what_must_be_held_whole_costs_more(studio: Studio) -> None:
    def cost(data: bytes) -> int:
        outcome = studio.run(data, [{"name": "v", "width": 100}], memory_bytes=1)
        assert isinstance(outcome, NeedsMemory)
        return outcome.cost_bytes

    size = (2000, 1500)
    assert cost(pictures.make_progressive_jpeg(*size)) > cost(pictures.make_jpeg(*size))
    assert cost(pictures.make_tiff(*size)) > cost(pictures.make_png(*size))


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, ImageErrorCode.STORAGE_FULL),
        (errno.EFBIG, ImageErrorCode.OUTPUT_TOO_LARGE),
    ],
)
def test_a_write_that_the_system_refuses_is_told_and_leaves_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, number: int, code: ImageErrorCode
) -> None:
    write = Path.write_bytes

    def write_but_the_second(path: Path, data: bytes) -> int:
        if path.name.startswith("out-b"):
            write(path, data[:10])
            raise OSError(number, "refused")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_but_the_second)
    outcome = studio.run(pictures.make_png(), [{"name": "a"}, {"name": "b"}])
    assert isinstance(outcome, RenderFailed)
    assert outcome.failure.code is code
    assert studio.outputs() == []


def test_no_memory_is_told_and_leaves_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhaust(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(pipeline, "STEPS", (exhaust,))
    assert studio.fail(pictures.make_png()).code is ImageErrorCode.OUT_OF_MEMORY


def test_a_mistake_of_ours_raises_and_leaves_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(_image: object, plan: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "STEPS", (stumble,))
    with pytest.raises(ZeroDivisionError):
        studio.run(pictures.make_png(), [{"name": "a"}])
    assert studio.outputs() == []
