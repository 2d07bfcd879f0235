"""What decoders say, told in our codes."""

from __future__ import annotations

import struct
import zlib

import pytest

from imgsvc.errors import ImageError, ImageErrorCode
from imgsvc.imaging.translation import reading_elsewhere


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (ValueError("not enough image data"), ImageErrorCode.CORRUPT_IMAGE),
        (OSError("image file is truncated"), ImageErrorCode.CORRUPT_IMAGE),
        (SyntaxError("broken PNG file"), ImageErrorCode.CORRUPT_IMAGE),
        (struct.error("unpack requires 4 bytes"), ImageErrorCode.CORRUPT_IMAGE),
        (zlib.error("Error -3"), ImageErrorCode.CORRUPT_IMAGE),
        (IndexError("index out of range"), ImageErrorCode.CORRUPT_IMAGE),
        (OverflowError("too large"), ImageErrorCode.CORRUPT_IMAGE),
        (
            RuntimeError("Memory allocation error: Security limit exceeded: items"),
            ImageErrorCode.CORRUPT_IMAGE,
        ),
        (
            RuntimeError("Security limit exceeded: exceeds the maximum image size 99"),
            ImageErrorCode.TOO_MANY_PIXELS,
        ),
        (OSError("Unsupported BMP compression (4)"), ImageErrorCode.UNSUPPORTED_FORMAT),
        (NotImplementedError("Unimplemented format"), ImageErrorCode.UNSUPPORTED_FORMAT),
        (ImportError("libheif.so"), ImageErrorCode.UNSUPPORTED_FORMAT),
        (MemoryError(), ImageErrorCode.OUT_OF_MEMORY),
        (OSError("out of memory error"), ImageErrorCode.OUT_OF_MEMORY),
    ],
    ids=str,
)
def test_what_a_reader_raises_becomes_a_code(said: Exception, code: ImageErrorCode) -> None:
    with pytest.raises(ImageError) as caught, reading_elsewhere():
        raise said
    assert caught.value.code is code
    assert str(said) not in caught.value.message or not str(said)


def test_a_verdict_that_is_there_already_passes() -> None:
    verdict = ImageError(ImageErrorCode.EMPTY_IMAGE, "The image has no bytes.")
    with pytest.raises(ImageError) as caught, reading_elsewhere():
        raise verdict
    assert caught.value is verdict
