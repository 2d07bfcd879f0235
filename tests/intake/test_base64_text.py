"""Base64 in pieces."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsvc.intake.base64_text import Base64Decoder, BrokenBase64, cut_data_uri
from tests.intake.streams import cut, cuts


def decode(*pieces: bytes) -> bytes:
    decoder = Base64Decoder()
    return b"".join(decoder.feed(piece) for piece in pieces) + decoder.finish()


@given(data=st.binary(max_size=200), urlsafe=st.booleans(), padded=st.booleans(), places=cuts())
def test_what_was_encoded_comes_back(
    data: bytes, urlsafe: bool, padded: bool, places: list[int]
) -> None:
    text = base64.urlsafe_b64encode(data) if urlsafe else base64.b64encode(data)
    text = text if padded else text.rstrip(b"=")

    assert decode(*cut(text, places)) == data


@given(data=st.binary(max_size=300), width=st.integers(1, 80), places=cuts())
def test_line_breaks_are_passed_over(data: bytes, width: int, places: list[int]) -> None:
    text = base64.b64encode(data)
    lines = b"\r\n".join(text[n : n + width] for n in range(0, len(text), width)) + b" \n"

    assert decode(*cut(lines, places)) == data


@pytest.mark.parametrize(
    "text",
    [b"A", b"AAAAA", b"AA*A", b"A===", b"AA===", b"AAAA=", b"AA==AA==", b"AA=A", b"=", b"\xff"],
)
def test_broken_text_is_told_however_it_is_cut(text: bytes) -> None:
    for place in range(len(text)):
        with pytest.raises(BrokenBase64):
            decode(*cut(text, [place]))


@given(text=st.text("AQgw+/-_=* ", max_size=12).map(str.encode), places=cuts())
def test_how_a_text_is_cut_makes_no_difference(text: bytes, places: list[int]) -> None:
    def outcome(*pieces: bytes) -> bytes | None:
        try:
            return decode(*pieces)
        except BrokenBase64:
            return None

    assert outcome(*cut(text, places)) == outcome(text)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (b"QUJD", b"QUJD"),
        (b"data:image/png;base64,QUJD", b"QUJD"),
        (b" DATA:image/svg+xml;charset=utf-8;BASE64,QUJD", b"QUJD"),
        (b"data:;base64,", b""),
        (b"dat", b"dat"),
        (b"", b""),
    ],
)
def test_the_header_of_a_data_uri_is_cut_off(text: bytes, rest: bytes) -> None:
    assert cut_data_uri(text, is_whole=True) == rest


@pytest.mark.parametrize(
    "text", [b"data:image/png,QUJD", b"data:,", b"data:base64,QUJD", b"data:x"]
)
def test_a_data_uri_that_is_not_base64_is_broken(text: bytes) -> None:
    with pytest.raises(BrokenBase64):
        cut_data_uri(text, is_whole=True)


def test_a_data_uri_may_arrive_in_pieces() -> None:
    text = b" data:image/png;base64,"
    for end in range(len(text)):
        assert cut_data_uri(text[:end], is_whole=False) is None
    with pytest.raises(BrokenBase64):
        cut_data_uri(b"data:" + b"x" * 2000, is_whole=False)
