"""Sizes from the first bytes of files, as far as those tell them; nothing they hold can raise."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsvc.domain.picture import Picture
from imgsvc.intake.headers import read_header
from tests import foreign, pictures

FILES = {
    "jpeg": pictures.make_jpeg(300, 200),
    "png": pictures.make_png(300, 200),
    "gif": pictures.make_gif(300, 200),
    "webp": pictures.make_webp(300, 200),
    "webp lossless": pictures.make_webp(300, 200, lossless=True),
    "webp extended": pictures.make_webp(300, 200, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"),
    "avif": pictures.make_avif(300, 200),
    "heic": foreign.make_heic(300, 200),
    "bmp": foreign.make_bmp(300, 200),
    "psd": foreign.make_psd([bytes(60_000)], 300, 200, foreign.PSD_GREY),
    "jp2": foreign.make_jp2(300, 200),
    "jp2 bare": foreign.make_jp2(300, 200, no_jp2=True),
    "pcx": foreign.make_pcx(300, 200),
    "qoi": foreign.make_qoi(300, 200),
    "dds": foreign.make_dds(300, 200),
}


@pytest.mark.parametrize("name", FILES)
def test_the_size_is_read(name: str) -> None:
    assert read_header(FILES[name]) == Picture(name.split()[0], 300, 200)


def test_a_progressive_jpeg_is_told_apart() -> None:
    assert read_header(pictures.make_progressive_jpeg(300, 200)) == Picture(
        "jpeg", 300, 200, progressive=True
    )


def test_a_jpegs_size_may_stand_behind_a_preview_and_fill_bytes() -> None:
    plain = FILES["jpeg"]
    preview = b"\xff\xe1" + (60_000).to_bytes(2, "big") + bytes(59_998)
    assert read_header(plain[:2] + preview + b"\xff\xff" + plain[2:]) == Picture("jpeg", 300, 200)


def test_a_size_beyond_the_first_bytes_is_not_known() -> None:
    preview = b"\xff\xe1" + (60_000).to_bytes(2, "big") + bytes(59_998)
    assert read_header(FILES["jpeg"][:2] + preview) == Picture("jpeg")
    assert read_header(pictures.make_tiff(300, 200)) == Picture("tiff")
    for format_, data in {"jxl": foreign.make_jxl(), "ico": foreign.make_ico()}.items():
        assert read_header(data) == Picture(format_)


def test_a_bitmap_from_the_top_down_is_as_high_as_any() -> None:
    data = FILES["bmp"]
    assert read_header(data[:22] + struct.pack("<i", -200) + data[26:]) == Picture("bmp", 300, 200)


@pytest.mark.parametrize("head", [b"", b"hello", b"<svg/>", b"RIFF1234WAVEfmt "])
def test_what_is_no_picture_has_no_header(head: bytes) -> None:
    assert read_header(head) is None


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_anywhere_raises_nothing(name: str) -> None:
    for end in range(200):
        read_header(FILES[name][:end])


@given(name=st.sampled_from(sorted(FILES)), keep=st.integers(0, 64), tail=st.binary(max_size=200))
def test_a_header_that_turns_into_noise_raises_nothing(name: str, keep: int, tail: bytes) -> None:
    read_header(FILES[name][:keep] + tail)
