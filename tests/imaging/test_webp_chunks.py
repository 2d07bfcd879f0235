from __future__ import annotations

from pathlib import Path

import pytest

from imgsvc.imaging.webp_chunks import is_lossless
from tests import pictures

PROFILE = pictures.make_p3_profile()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (pictures.make_webp(), False),
        (pictures.make_webp(lossless=True), True),
        (pictures.make_webp(icc_profile=PROFILE), False),
        (pictures.make_webp(icc_profile=PROFILE, lossless=True), True),
        (pictures.make_animation("WEBP"), False),
        (b"RIFF\xff\xff\xff\xffWEBPVP8X\xff\xff\xff\xff", False),
        (b"RIFF", False),
    ],
    ids=["lossy", "lossless", "lossy extended", "lossless extended", "moving", "cut", "nothing"],
)
def test_a_webp_is_lossless_by_the_chunk_of_its_pixels(
    tmp_path: Path, data: bytes, expected: bool
) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(data)
    assert is_lossless(str(path)) is expected
