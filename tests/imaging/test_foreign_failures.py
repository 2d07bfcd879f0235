"""Damaged and hostile files in the formats of Pillow and its plug-ins."""

from __future__ import annotations

import resource
import struct
import time
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from imgsvc.domain.rendering import DecodeLimits, NeedsMemory, Rendered, RenderFailed
from imgsvc.errors import ImageErrorCode
from imgsvc.imaging.formats import list_formats
from imgsvc.imaging.readers import registry
from tests import foreign, pictures
from tests.imaging.conftest import Studio

QUARTERS = pictures.quarters(200, 150).effect_spread(20)
PLANES = foreign.psd_planes(QUARTERS)

WHOLE = {
    "bmp": pictures.encode(QUARTERS, "BMP"),
    "bmp of a palette": pictures.encode(QUARTERS.convert("P"), "BMP"),
    "bmp packed": foreign.make_bmp_rle(200, 150),
    "ico": pictures.encode(QUARTERS.convert("RGBA"), "ICO", sizes=[(200, 150)]),
    "ico of bitmaps": foreign.make_ico(200, 150, bitmap_format="bmp"),
    "icns": foreign.make_icns(),
    "jp2": pictures.encode(QUARTERS, "JPEG2000"),
    "jp2 in tiles": pictures.encode(QUARTERS, "JPEG2000", tile_size=(64, 64)),
    "jp2 bare": pictures.encode(QUARTERS, "JPEG2000", no_jp2=True),
    "psd": foreign.make_psd(PLANES, 200, 150, resources=[(1039, bytes(500))]),
    "psd packed": foreign.make_psd(PLANES, 200, 150, packed=True),
    "pcx": pictures.encode(QUARTERS, "PCX"),
    "ppm": pictures.encode(QUARTERS, "PPM"),
    "ppm scaled": b"P6 200 150 100\n" + bytes(200 * 150 * 3),
    "qoi": pictures.encode(QUARTERS, "QOI"),
    "dds": pictures.encode(QUARTERS.convert("RGBA"), "DDS"),
    "dds compressed": pictures.encode(QUARTERS.convert("RGBA"), "DDS", pixel_format="DXT5"),
    "heic": pictures.encode(QUARTERS, "HEIF", quality=80),
    "heic in tiles": pictures.encode(QUARTERS, "HEIF", quality=80, tile_size=64),
    "heic with alpha": pictures.encode(QUARTERS.convert("RGBA"), "HEIF", quality=80),
    "jxl": pictures.encode(QUARTERS, "JXL", quality=80),
    "jxl without loss": pictures.encode(QUARTERS, "JXL", lossless=True),
    "jxl in boxes": pictures.encode(QUARTERS, "JXL", use_container=True),
}


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_cut_off_is_corrupt_in_every_format(
    studio: Studio, name: str, share: float
) -> None:
    failure = studio.fail(pictures.cut(WHOLE[name], share), width=50)
    assert failure.code in {ImageErrorCode.CORRUPT_IMAGE, ImageErrorCode.UNSUPPORTED_FORMAT}
    if len(WHOLE[name]) * share > 64:  # the format can be told
        assert failure.code is ImageErrorCode.CORRUPT_IMAGE
    assert str(studio.folder) not in failure.message


def test_pillow_is_not_told_to_make_up_what_is_missing() -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("name", WHOLE)
def test_noise_after_a_header_raises_nothing_but_a_verdict(studio: Studio, name: str) -> None:
    whole = WHOLE[name]
    for keep in (16, 30, 64, 200):
        for noise in (b"\x00", b"\xff", b"\x80\x01\x7f"):
            data = whole[:keep] + (noise * 1000)[: max(0, 1000 - keep)]
            outcome = studio.run(data, [{"name": "v", "width": 4}])
            if isinstance(outcome, RenderFailed):
                assert outcome.failure.code in {
                    ImageErrorCode.CORRUPT_IMAGE,
                    ImageErrorCode.UNSUPPORTED_FORMAT,
                    ImageErrorCode.TOO_MANY_PIXELS,
                }


SIDE = 65535


def make_bomb_jxl(side: int = SIDE) -> bytes:
    """A size of 30 bits, a square, and everything else as usual."""
    bits = 3 << 1 | (side - 1) << 3 | 1 << 33 | 1 << 36
    return b"\xff\x0a" + bits.to_bytes(5, "little") + bytes(200)


def make_bomb_heic(width: int = 128, height: int = 128) -> bytes:
    """Of a side that is no multiple of 64 only a part is shown, as a property tells."""
    data = bytearray(foreign.make_heic(width, height))
    at = data.find(b"ispe")
    while at >= 0:
        data[at + 8 : at + 16] = struct.pack(">II", SIDE, SIDE)
        at = data.find(b"ispe", at + 4)
    return bytes(data)


def make_bomb_jp2(*, boxes: bool = True, codestream: bool = True, bare: bool = False) -> bytes:
    """Both the boxes and the codestream tell a size; either may lie."""
    data = bytearray(foreign.make_jp2(no_jp2=bare))
    if boxes and not bare:
        at = data.index(b"ihdr") + 4
        data[at : at + 8] = struct.pack(">II", SIDE, SIDE)
    if codestream:
        at = data.index(b"\xff\x4f\xff\x51") + 8
        data[at : at + 8] = struct.pack(">II", SIDE, SIDE)
    return bytes(data)


def make_icon(content: bytes) -> bytes:
    """One picture that the directory says is 16 pixels a side."""
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(content), 22) + content


def make_apple_icon(content: bytes) -> bytes:
    """One picture that its code says is 128 pixels a side."""
    return b"icns" + struct.pack(">I4sI", 16 + len(content), b"ic07", 8 + len(content)) + content


DIB = struct.pack("<IiiHHIIiiII", 40, SIDE, 2 * SIDE, 1, 32, 0, 0, 0, 0, 0, 0)

BOMBS = {
    "bmp": struct.pack("<2sIII", b"BM", 100, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 24, 0, 0, 0, 0, 0, 0),
    "bmp packed": struct.pack("<2sIII", b"BM", 100, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 8, 1, 0, 0, 0, 0, 0)
    + bytes(1024),
    "ico with a png": make_icon(pictures.make_bomb_png(SIDE, SIDE)),
    "ico with a bitmap": make_icon(DIB),
    "icns with a png": make_apple_icon(pictures.make_bomb_png(SIDE, SIDE)),
    "icns with a jp2": make_apple_icon(make_bomb_jp2()),
    "jp2": make_bomb_jp2(),
    "jp2 bare": make_bomb_jp2(bare=True),
    "psd": foreign.make_psd([b"", b"", b""], SIDE, SIDE),
    "psd packed": foreign.make_psd([b"", b"", b""], SIDE, SIDE)[:-2] + b"\x00\x01",
    "pcx": struct.pack("<4B6H", 10, 5, 1, 8, 0, 0, SIDE - 1, SIDE - 1, 72, 72)
    + bytes(49)
    + b"\x03"
    + bytes(100),
    "qoi": struct.pack(">4sIIBB", b"qoif", SIDE, SIDE, 4, 0),
    "dds": foreign.make_dds()[:12] + struct.pack("<II", SIDE, SIDE) + foreign.make_dds()[20:],
    "heic": make_bomb_heic(),
    "jxl": make_bomb_jxl(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_gigapixels_are_refused_by_the_header_at_once_and_in_little_memory(
    studio: Studio, name: str
) -> None:
    studio.fail(BOMBS[name])  # whatever is imported for it
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began_s = time.process_time()
    failure = studio.fail(BOMBS[name])
    assert time.process_time() - began_s < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 8 << 10
    assert failure.code is ImageErrorCode.TOO_MANY_PIXELS


@pytest.mark.parametrize(
    "data",
    [
        make_bomb_jp2(boxes=False),
        make_bomb_jp2(codestream=False),
        make_apple_icon(make_bomb_jp2(boxes=False)),
    ],
    ids=["codestream", "boxes", "in an icon"],
)
def test_a_jp2_of_two_sizes_never_gets_to_be_decoded(studio: Studio, data: bytes) -> None:
    assert studio.fail(data).code in {
        ImageErrorCode.CORRUPT_IMAGE,
        ImageErrorCode.TOO_MANY_PIXELS,
    }


@pytest.mark.parametrize("name", WHOLE)
def test_pixels_are_limited_exactly(studio: Studio, name: str) -> None:
    side = 1024 if name == "icns" else None
    pixels = side**2 if side else 200 * 150
    studio.limits = DecodeLimits(pixels, 1)
    assert isinstance(studio.run(WHOLE[name], [{"name": "w", "width": 8}]), Rendered)
    studio.limits = DecodeLimits(pixels - 1, 1)
    outcome = studio.run(WHOLE[name], [{"name": "v"}])
    assert isinstance(outcome, RenderFailed)
    assert outcome.failure.code is ImageErrorCode.TOO_MANY_PIXELS


@pytest.mark.parametrize("name", WHOLE)
def test_memory_is_asked_for_before_pixels_are_decoded(studio: Studio, name: str) -> None:
    variants = [{"name": "v", "width": 8}]
    outcome = studio.run(WHOLE[name], variants, memory_bytes=1000)
    assert isinstance(outcome, NeedsMemory)
    assert isinstance(studio.run(WHOLE[name], variants, outcome.cost_bytes), Rendered)


def test_a_heic_that_hides_most_of_a_large_picture_is_not_decoded(studio: Studio) -> None:
    failure = studio.fail(make_bomb_heic(64, 48))
    assert failure.code is ImageErrorCode.UNSUPPORTED_FORMAT


def test_what_follows_the_last_box_does_not_matter(studio: Studio) -> None:
    for name in ("heic in tiles", "jxl in boxes", "jp2"):
        for tail in (b"\x00" * 50, b"\xff" * 50, b"SEFH" * 10):
            outcome = studio.run(WHOLE[name] + tail, [{"name": "v", "width": 8}])
            assert isinstance(outcome, Rendered)


def test_a_size_of_nothing_is_corrupt(studio: Studio) -> None:
    for data in (
        b"P6 0 5 255\n",
        struct.pack(">4sIIBB", b"qoif", 0, 0, 4, 0),
        foreign.make_psd([b""], 0, 0, foreign.PSD_GREY),
        make_icon(struct.pack("<IiiHHIIiiII", 40, 0, 0, 1, 32, 0, 0, 0, 0, 0, 0)),
    ):
        assert studio.fail(data).code is ImageErrorCode.CORRUPT_IMAGE


UNREADABLE = {
    "psd of layers only": foreign.make_psd(
        PLANES, 200, 150, resources=[(1057, b"\x00\x00\x00\x01\x00more")]
    ),
    "psd of 32 bits": foreign.make_psd([bytes(4)], 1, 1, foreign.PSD_GREY, depth=32),
    "psd of many channels": foreign.make_psd([b"1", b"2"], 1, 1, 7),
    "psd compressed as zip": foreign.make_psd(PLANES, 200, 150).replace(
        b"\0\0\0\0\0\0" + PLANES[0][:50], b"\0\0\0\0\0\2" + PLANES[0][:50]
    ),
    "bmp with a jpeg": struct.pack("<2sIII", b"BM", 100, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, 9, 9, 1, 24, 4, 0, 0, 0, 0, 0)
    + bytes(50),
    "dds of another kind": foreign.make_dds()[:84] + b"ABCD" + foreign.make_dds()[88:],
    "animated jxl": foreign.ANIMATED_JXL,
}
UNREADABLE["dds of another kind"] = (
    foreign.make_dds()[:80] + struct.pack("<I4s", 4, b"ABCD") + foreign.make_dds()[88:]
)


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_not_read_is_unsupported_and_not_corrupt(studio: Studio, name: str) -> None:
    assert studio.fail(UNREADABLE[name]).code is ImageErrorCode.UNSUPPORTED_FORMAT


def test_a_psd_without_its_flat_picture_says_what_to_do(studio: Studio) -> None:
    assert "compatibility" in studio.fail(UNREADABLE["psd of layers only"]).message


@pytest.mark.parametrize(
    ("data", "name"), [(foreign.make_heic(), "HEIC"), (foreign.make_jxl(), "JPEG XL")]
)
def test_without_its_plug_in_a_format_names_the_extra(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, data: bytes, name: str
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda _: None)
    failure = studio.fail(data)
    assert failure.code is ImageErrorCode.UNSUPPORTED_FORMAT
    assert failure.message == f"{name} needs the extra imgsvc[formats]."
    assert not {"heic", "jxl"} & set(list_formats().read)
    assert registry.missing_formats() == ("HEIC", "JPEG XL")


def test_lengths_that_lie_reserve_no_memory(studio: Studio) -> None:
    """Sections, names and headers of four gigabytes, in files of a few bytes."""
    huge = b"\xff\xff\xff\xfe"
    psd = foreign.make_psd(PLANES, 200, 150)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in (
        psd[:26] + huge + psd[30:],
        psd[:30] + huge + psd[34:],
        psd[:34] + huge + psd[38:],
        b"\x00\x00\x00\x0cjP  \r\n\x87\n" + huge + b"jp2h" + bytes(100),
        b"\x00\x00\x00\x0cJXL \r\n\x87\n" + huge + b"jxlc" + bytes(100),
        b"icns" + huge + b"ic07" + huge,
        make_icon(b"")[:14] + huge * 2,
    ):
        assert studio.fail(data).code is ImageErrorCode.CORRUPT_IMAGE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 16 << 10


@pytest.mark.parametrize("size_bytes", [5, 1 << 20])
def test_a_profile_of_nonsense_is_left_out_with_a_warning(studio: Studio, size_bytes: int) -> None:
    profile = b"x" * size_bytes
    for data in (
        foreign.make_psd(PLANES, 200, 150, resources=[(1039, profile)]),
        foreign.add_jp2_profile(foreign.make_jp2(), profile),
        pictures.encode(QUARTERS, "HEIF", icc_profile=profile),
    ):
        outcome = studio.make(data, width=8)[1]
        assert [warning.code for warning in outcome.warnings] == ["profile_assumed"]


def test_no_memory_is_told_as_such(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", exhaust)
    assert studio.fail(foreign.make_bmp()).code is ImageErrorCode.OUT_OF_MEMORY


def test_a_picture_of_another_size_than_promised_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(foreign.make_bmp(64, 48))
    promised = registry.open_outline(str(path), "bmp")
    path.write_bytes(foreign.make_bmp(64, 50))
    with pytest.raises(Exception, match="damaged"):
        registry.read_pixels(str(path), "bmp", promised)


def test_pillow_neither_warns_nor_refuses_by_its_own_limit(studio: Studio) -> None:
    """Warnings are errors here; Pillow would warn from 89 and refuse from 179 megapixels."""
    studio.limits = DecodeLimits(1 << 32, 1)
    wide = b"P4 20000 10000\n" + bytes(20_000 * 10_000 // 8)
    assert isinstance(studio.run(wide, [{"name": "v", "width": 8}]), Rendered)
    assert Image.MAX_IMAGE_PIXELS is None
