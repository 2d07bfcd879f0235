"""Formats by their first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsvc.domain.sniffing import HEAD_BYTES, sniff
from tests import foreign, pictures

FILES = {
    "jpeg": [pictures.make_jpeg()],
    "png": [pictures.make_png()],
    "gif": [pictures.make_gif()],
    "webp": [pictures.make_webp()],
    "tiff": [pictures.make_tiff()],
    "avif": [pictures.make_avif()],
    "bmp": [foreign.make_bmp(), foreign.make_bmp_rle(), b"BM" + bytes(12) + b"\x0c\0\0\0"],
    "ico": [foreign.make_ico(), foreign.make_ico(256, 256)],
    "icns": [foreign.make_icns()],
    "jp2": [foreign.make_jp2(), foreign.make_jp2(no_jp2=True)],
    "psd": [
        foreign.make_psd([b"1"], 1, 1, foreign.PSD_GREY),
        foreign.make_psd([b"1"], 1, 1, foreign.PSD_GREY, large=True),
    ],
    "pcx": [foreign.make_pcx(mode=mode) for mode in ("1", "L", "P", "RGB")],
    "ppm": [
        *(foreign.make_ppm(mode=mode) for mode in ("1", "L", "RGB")),
        foreign.make_plain_ppm(),
        b"P1\r\n3 2\n1 0 1 0 1 0",
    ],
    "qoi": [foreign.make_qoi()],
    "dds": [foreign.make_dds()],
    "heic": [foreign.make_heic(), foreign.make_deep_heic((1, 2, 3))],
    "jxl": [foreign.make_jxl(), foreign.make_jxl(use_container=True), foreign.ORIENTED_JXL],
}


@pytest.mark.parametrize("format_", FILES)
def test_every_format_is_told_by_its_first_bytes(format_: str) -> None:
    assert [sniff(data[:HEAD_BYTES]) for data in FILES[format_]] == [format_] * len(FILES[format_])


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"BM",
        b"BM is how this text begins, and it goes on for a while",
        b"P5 is a paper size that nobody knows",
        b"P6",
        b"\n\nTwo empty lines",
        b"\x00\x01\x00\x00\x00\x0c\x00\x80\x00\x03",  # a TrueType font
        b"\x00\x00\x01\x00\x00\x00" + bytes(20),  # an icon of no pictures
        b"\x00\x00\x01\xba\x44\x00",  # an MPEG stream
        b"8BPS\x00\x07",
        b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ",
        b"\xff\xfb\x90\x00",  # an MP3 file
    ],
)
def test_what_only_begins_alike_is_not_taken_for_a_picture(head: bytes) -> None:
    assert sniff(head) is None


@given(st.binary(max_size=HEAD_BYTES))
def test_no_bytes_raise_anything(head: bytes) -> None:
    sniff(head)
