"""Small files that ask for much: refused, or made at the usual price."""

from __future__ import annotations

import struct
import zlib

import pytest
import pyvips
from PIL import Image

from imgsvc.domain.rendering import NeedsMemory, Rendered, RenderFailed
from imgsvc.errors import ImageErrorCode
from imgsvc.imaging import excess
from tests import foreign, pictures
from tests.imaging.conftest import Studio

SCAN = b"\xff\xda\x00\x08\x01\x01\x00"


def png_chunk(kind: bytes, content: bytes) -> bytes:
    length, check = struct.pack(">I", len(content)), struct.pack(">I", zlib.crc32(kind + content))
    return length + kind + content + check


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """Right after the header's own chunk."""
    return png[:33] + b"".join(chunks) + png[33:]


def texts(count: int, each: int) -> tuple[bytes, ...]:
    """Compressed, of both kinds by turns."""
    packed = zlib.compress(bytes(each))
    zero, international = b"zTXt", b"iTXt"
    return tuple(
        png_chunk(zero, b"k\0\0" + packed)
        if number % 2
        else png_chunk(international, b"k\0\1\0en\0k\0" + packed)
        for number in range(count)
    )


def webp_of(frames: int) -> bytes:
    """Frames of 2 x 2 pixels on a canvas of 8 x 8."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    def side(pixels: int) -> bytes:
        return (pixels - 1).to_bytes(3, "little")

    picture = pictures.encode(Image.new("RGB", (2, 2)), "WEBP", lossless=True)[12:]
    frame = chunk(b"ANMF", bytes(6) + side(2) + side(2) + b"\x0a\0\0\0" + picture)
    head = chunk(b"VP8X", b"\2\0\0\0" + side(8) + side(8)) + chunk(b"ANIM", bytes(6))
    body = b"WEBP" + head + frame * frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_a_jpeg_of_hundreds_of_passes_is_corrupt(studio: Studio) -> None:
    data = pictures.make_progressive_jpeg()
    padding = data[:-2] + SCAN * excess.MOST_SCANS + data[-2:]
    assert studio.fail(padding).code is ImageErrorCode.CORRUPT_IMAGE


def test_a_jpeg_of_one_pass_may_hold_any_bytes(studio: Studio) -> None:
    comment = SCAN * (excess.MOST_SCANS + 1)
    data = pictures.make_jpeg()
    segment = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
    assert studio.picture(data[:2] + segment + data[2:]).size == (64, 48)


def test_a_webp_of_thousands_of_frames_is_refused_before_they_are_counted(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excess, "MOST_FRAMES", 20)
    assert isinstance(studio.run(webp_of(20), [{"name": "w", "format": "png"}]), Rendered)
    (studio.folder / "out-w.png").unlink()
    assert studio.fail(webp_of(21)).code is ImageErrorCode.TOO_MANY_FRAMES


def test_texts_of_a_png_that_inflate_without_end_are_corrupt(studio: Studio) -> None:
    each = 4 << 20
    png = pictures.make_png()
    within = with_chunks(png, *texts(excess.MOST_TEXT_BYTES // each, each))
    assert studio.picture(within, metadata="all").size == (64, 48)
    (studio.folder / "out-v.png").unlink()
    beyond = with_chunks(png, *texts(excess.MOST_TEXT_BYTES // each + 1, each))
    assert len(beyond) < 100_000
    assert studio.fail(beyond).code is ImageErrorCode.CORRUPT_IMAGE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"k",
        b"k\0",
        b"k\0\0",
        b"k\0\1",
        b"k\0\1\0",
        b"k\0\1\0en\0k\0",
        b"k\0\1\0en\0k\0nonsense",
    ],
)
@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_texts_that_make_no_sense_do_no_harm(studio: Studio, kind: bytes, content: bytes) -> None:
    data = with_chunks(pictures.make_png(), png_chunk(kind, content))
    assert studio.picture(data).size == (64, 48)


def test_a_png_that_ends_within_a_chunk_is_corrupt(studio: Studio) -> None:
    data = pictures.make_png()[:33] + b"\xff\xff\xff\xffzTXtk\0\0"
    assert studio.fail(data).code is ImageErrorCode.CORRUPT_IMAGE


def test_metadata_of_megabytes_is_charged_for(studio: Studio) -> None:
    def cost(exif: bytes) -> int:
        data = with_chunks(pictures.make_png(), png_chunk(b"eXIf", exif))
        outcome = studio.run(data, [{"name": "v"}], memory_bytes=1)
        assert isinstance(outcome, NeedsMemory)
        return outcome.cost_bytes

    block = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
    assert cost(block + bytes(4 << 20)) - cost(block) > 4 * (4 << 20)


def test_every_frame_of_a_moving_webp_is_charged_for_when_all_are_looked_at(
    studio: Studio,
) -> None:
    def cost(**fields: object) -> int:
        still = {"name": "v", "format": "png", "width": 10} | fields
        animation = pictures.make_animation("WEBP", frames=40, width=400, height=300)
        outcome = studio.run(animation, [still], memory_bytes=1)
        assert isinstance(outcome, NeedsMemory)
        return outcome.cost_bytes

    assert cost(trim=True) - cost() > 30 * 400 * 300 * 4


@pytest.mark.parametrize("format_", ["webp", "avif"])
def test_lossless_files_are_charged_more(studio: Studio, format_: str) -> None:
    def cost(**fields: object) -> int:
        variant = {"name": "v", "format": format_} | fields
        outcome = studio.run(pictures.make_jpeg(1000, 800), [variant], memory_bytes=1)
        assert isinstance(outcome, NeedsMemory)
        return outcome.cost_bytes

    assert min(cost(lossless=True), cost(max_bytes=2000)) > cost()


@pytest.mark.parametrize("bands", range(1, 10))
@pytest.mark.parametrize("photometric", ["b-w", "srgb", "cmyk"])
@pytest.mark.parametrize("sample", ["uchar", "ushort"])
def test_a_tiff_of_any_number_of_bands_can_be_shown(
    studio: Studio, bands: int, photometric: str, sample: str
) -> None:
    wide = {"b-w": "grey16", "srgb": "rgb16"}.get(photometric, photometric)
    image = (pyvips.Image.black(20, 10, bands=bands) + (100 if sample == "uchar" else 25_700)).cast(
        sample
    )
    image = image.copy(interpretation=photometric if sample == "uchar" else wide)
    path = studio.folder / "source.tif"
    image.tiffsave(str(path))
    for fields in ({"format": "webp"}, {"trim": True, "format": "jpeg", "metadata": "all"}):
        assert studio.picture(path.read_bytes(), **fields).size == (20, 10)


def test_a_ppm_whose_header_never_seems_to_end_is_corrupt(studio: Studio) -> None:
    start = b"P5 " + b"#\n" * (1 << 15)
    assert studio.fail(start + b"1 1 255 x").code is ImageErrorCode.CORRUPT_IMAGE
    assert studio.picture(b"P5 #\n1 1 255 x").size == (1, 1)


def test_a_psd_of_thousands_of_resources_is_corrupt(studio: Studio) -> None:
    planes = [bytes(4)] * 3
    data = foreign.make_psd(planes, 2, 2, resources=[(1000, b"")] * 5_001)
    assert studio.fail(data).code is ImageErrorCode.CORRUPT_IMAGE
    data = foreign.make_psd(planes, 2, 2, resources=[(1000, b"")] * 4_000)
    assert studio.picture(data).size == (2, 2)


def test_a_tag_of_more_values_than_a_file_holds_is_no_matter_of_memory(studio: Studio) -> None:
    data = bytearray(pictures.make_tiff())
    entry = data.index(struct.pack("<HHI", 259, 3, 1))  # how it is compressed
    data[entry + 4 : entry + 8] = b"\xff\xff\xff\x7f"
    assert studio.fail(bytes(data)).code is ImageErrorCode.CORRUPT_IMAGE


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0\x08\0\0\0" + bytes(6),
        b"II*\0\x08\0\0\0" + bytes(2) + b"\x08\0\0\0",
        b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + bytes(16),
        b"P6\n99999999 1\n255\n",
        b"P3\n1 99999999\n255\n",
        b"P4\n65535 65535\n",
    ],
    ids=["no tags", "no tags, next is itself", "big", "wide", "high text", "bits"],
)
def test_a_few_bytes_are_no_matter_of_memory_whatever_they_promise(
    studio: Studio, data: bytes
) -> None:
    outcome = studio.run(data, [{"name": "v"}], memory_bytes=1)
    assert isinstance(outcome, RenderFailed)
    assert outcome.failure.code is ImageErrorCode.CORRUPT_IMAGE


def test_colours_that_libvips_does_not_read_are_unsupported(studio: Studio) -> None:
    picture = Image.new("LAB", (8, 8))
    failure = studio.fail(pictures.encode(picture, "TIFF"))
    assert failure.code is ImageErrorCode.UNSUPPORTED_FORMAT
