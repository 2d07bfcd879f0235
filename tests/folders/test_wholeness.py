from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
from PIL import Image

from imgsvc.folders.wholeness import is_whole


def make(format_: str, size: tuple[int, int] = (200, 160), **options: Any) -> bytes:
    picture = Image.effect_noise(size, 90).convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, format_, **options)
    return buffer.getvalue()


def judge(content: bytes) -> bool:
    return is_whole(lambda at, length: content[at : at + length], len(content))


_QOI = b"qoif" + b"x" * 99 + b"\0" * 7 + b"\1"
MAKERS: dict[str, Callable[[], bytes]] = {
    "jpeg": partial(make, "JPEG"),
    "progressive": partial(make, "JPEG", progressive=True),
    "png": partial(make, "PNG"),
    "gif": partial(make, "GIF"),
    "webp": partial(make, "WEBP"),
    "avif": partial(make, "AVIF"),
    "tiff": partial(make, "TIFF"),
    "deflated tiff": partial(make, "TIFF", compression="tiff_adobe_deflate"),
    "big tiff": partial(make, "TIFF", big_tiff=True),
    "bmp": partial(make, "BMP"),
    "icns": partial(make, "ICNS", size=(128, 128)),
    "qoi": partial(make, "QOI", (9, 9)) if "QOI" in Image.SAVE else lambda: _QOI,
}


@cache
def file(name: str) -> bytes:
    return MAKERS[name]()


@pytest.mark.parametrize("name", MAKERS)
def test_a_finished_file_is_whole(name: str) -> None:
    assert judge(file(name))


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.99])
def test_a_file_whose_end_is_missing_is_not(name: str, share: float) -> None:
    content = file(name)
    assert not judge(content[: int(len(content) * share)])
    assert not judge(content[:-2])


def test_nothing_at_all_is_not_whole() -> None:
    assert not judge(b"")


def test_a_file_that_is_laid_out_before_its_bytes_come_is_not_whole() -> None:
    assert not judge(bytes(100_000))


def test_the_end_of_a_preview_is_not_the_end_of_the_picture() -> None:
    preview = make("JPEG", (40, 30))
    exif = struct.pack(">HH", 0xFFE1, len(preview) + 2) + preview
    content = file("jpeg")
    content = content[:2] + exif + content[2:]
    assert judge(content)
    assert not judge(content[: len(exif) + 300])


def test_what_a_phone_leaves_behind_the_end_does_no_harm() -> None:
    assert judge(file("jpeg") + b"SEFH" * 500)
    assert judge(file("png") + b"more")
    assert judge(file("webp") + b"more")
    assert judge(file("gif") + bytes(20))


def test_what_is_no_image_is_not_waited_for() -> None:
    assert judge(b"these are my holiday notes, and they go on for a good while after this line")


def test_garbage_behind_a_signature_is_answered_in_any_case() -> None:
    for name in MAKERS:
        for fill in (b"\0", b"\xff", b"\x01\x02"):
            assert isinstance(judge(file(name)[:12] + fill * 400), bool), name


def test_a_file_of_nothing_but_boxes_is_not_read_to_its_end() -> None:
    head = b"\0\0\0\x18ftypavif\0\0\0\0avifmif1"
    assert count_reads(head + b"\0\0\0\x08free" * 50_000) < 11_000


def make_tiff(directories: int, tags: tuple[int, ...], values: int) -> bytes:
    """Every tag has the same values, which stand at the end."""
    size_bytes = 2 + 12 * len(tags) + 4
    values_at = 8 + directories * size_bytes
    content = b"II*\0" + struct.pack("<I", 8)
    for number in range(1, directories + 1):
        content += struct.pack("<H", len(tags))
        content += b"".join(struct.pack("<HHII", tag, 4, values, values_at) for tag in tags)
        content += struct.pack("<I", 8 + number * size_bytes if number < directories else 0)
    return content + bytes(4 * values)


def test_a_tag_that_is_repeated_is_read_once() -> None:
    assert count_reads(make_tiff(1, (273,) * 1000, 1000)) < 10


def test_directories_that_share_their_values_are_not_all_read() -> None:
    assert count_reads(make_tiff(60, (273, 279, 324, 325), 60_000)) < 20


def count_reads(content: bytes) -> int:
    """How often a file is read until it is known whether it is whole."""
    reads = 0

    def read_at(at: int, length: int) -> bytes:
        nonlocal reads
        reads += 1
        return content[at : at + length]

    is_whole(read_at, len(content))
    return reads
