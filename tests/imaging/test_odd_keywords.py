"""Keywords of PNG texts are Latin-1, and whoever writes a file may put anything there."""

from __future__ import annotations

import zlib

import pytest
from PIL import Image

from imgsvc.domain.rendering import Rendered
from imgsvc.errors import WarningCode
from tests import pictures
from tests.imaging.conftest import Studio


def with_text(keyword: bytes) -> bytes:
    """A PNG with a text of this keyword, and one with a usual one."""
    return pictures.png_file(
        1, 1, 8, 0, b"\0\0", (b"tEXt", keyword + b"\0words"), (b"tEXt", b"Title\0of mine")
    )


def texts_of(picture: Image.Image) -> dict[str, str]:
    return {str(key): value for key, value in picture.info.items() if isinstance(value, str)}


@pytest.mark.parametrize(
    "keyword",
    [b"K\xe9y", b"\x94", b"K\xc3\xa9y", b"\x7f", b" a", b"a ", b"a  b", b"", b"k" * 80],
    ids=["latin", "control", "utf8", "delete", "before", "after", "twice", "none", "long"],
)
def test_a_text_whose_keyword_may_not_be_written_is_dropped_with_a_warning(
    studio: Studio, keyword: bytes
) -> None:
    made, outcome = studio.make(with_text(keyword), format="png", metadata="all")
    assert texts_of(made) == {"Title": "of mine"}
    if keyword and len(keyword) < 80:  # of these the decoder itself keeps nothing
        assert [warning.code for warning in outcome.warnings] == [WarningCode.METADATA_DROPPED]


def test_nothing_of_it_is_left_where_only_rights_are_kept(studio: Studio) -> None:
    made, _ = studio.make(with_text(b"K\xe9y"), format="png", metadata="copyright")
    assert texts_of(made) == {}


def test_its_length_counts_for_the_memory_that_a_picture_needs(studio: Studio) -> None:
    long = zlib.compress(b"x" * (8 << 20))
    data = pictures.png_file(1, 1, 8, 0, b"\0\0", (b"zTXt", b"K\xe9y\0\0" + long))
    assert not isinstance(studio.run(data, [{"name": "v"}], memory_bytes=32 << 20), Rendered)
