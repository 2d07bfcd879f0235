from __future__ import annotations

import struct
from pathlib import Path

import pytest

from imgsvc.domain.rendering import NeedsMemory
from imgsvc.imaging.jpeg_segments import count_kept_bytes
from tests import pictures
from tests.imaging.conftest import Studio

PLAIN = pictures.make_jpeg()
JFIF_BYTES = 16


def segment(kind: int, length: int) -> bytes:
    return bytes((0xFF, kind)) + struct.pack(">H", length) + bytes(length - 2)


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        (b"", 0),
        (segment(0xE1, 1000), 1000),
        (segment(0xFE, 500) + segment(0xED, 300), 800),
        (segment(0xDB, 67), 0),
        (b"\xff" * 90_000 + segment(0xE1, 1000), 1000),
    ],
    ids=["none", "exif", "comment and more", "table", "filling"],
)
def test_what_a_decoder_keeps_is_counted(tmp_path: Path, more: bytes, kept: int) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(PLAIN[:2] + more + PLAIN[2:])
    assert count_kept_bytes(str(path)) == JFIF_BYTES + kept


@pytest.mark.parametrize(
    "data", [b"\xff\xd8", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xff", b"\xff\xd8 "]
)
def test_of_what_is_cut_off_nothing_is_counted_beyond_its_end(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    assert count_kept_bytes(str(path)) == 0


def test_of_more_segments_than_anybody_needs_the_whole_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(PLAIN[:2] + segment(0xFE, 2) * 10_001 + PLAIN[2:])
    assert count_kept_bytes(str(path)) == path.stat().st_size


def test_hundreds_of_exifs_are_paid_for(studio: Studio) -> None:
    data = PLAIN[:2] + segment(0xE1, 65_535) * 100 + PLAIN[2:]
    outcome = studio.run(data, [{"name": "v"}], memory_bytes=32 << 20)
    assert isinstance(outcome, NeedsMemory)
