"""What a client called a file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsvc.domain.input_names import clean_name
from imgsvc.intake.filenames import parse_header, pick_filename


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b'form-data; name="f"; filename="a.jpg"', "a.jpg"),
        (b"form-data; name=f; filename=a.jpg", "a.jpg"),
        (b'form-data; NAME="f" ; FileName = "a b.jpg" ', "a b.jpg"),
        (b'form-data; filename="a;b=c.jpg"; name="f"', "a;b=c.jpg"),
        ('form-data; filename="M\u00fcller \u732b.jpg"'.encode(), "M\u00fcller \u732b.jpg"),
        (b'form-data; filename="M\xfcller.jpg"', "M\u00fcller.jpg"),
        (b'form-data; filename="a (%22b%0D%0A%20).jpg"', 'a ("b\r\n%20).jpg'),
        (b'form-data; filename="shop%2Fa%20b%C3%BC.jpg"', "shop/a b\u00fc.jpg"),
        (b'form-data; filename="100%25 off.jpg"', "100%25 off.jpg"),
        (b'form-data; filename="%ff.jpg"', "%ff.jpg"),
        (b'form-data; filename="a\\"b\\\\c.jpg"', 'a"b\\c.jpg'),
        (b'form-data; filename="C:\\fotos\\a.jpg"', "C:\\fotos\\a.jpg"),
        (b'form-data; filename="ends in\\"', "ends in\\"),
        (b"form-data; filename*=UTF-8''%e2%82%ac%20rates.jpg", "\u20ac rates.jpg"),
        (b"form-data; filename=\"e.jpg\"; filename*=utf-8'en'%e2%82%ac.jpg", "\u20ac.jpg"),
        (b"form-data; filename*=iso-8859-1''%fc.jpg; filename=u.jpg", "\u00fc.jpg"),
        (b"form-data; filename=\"e.jpg\"; filename*=klingon''%ff", "e.jpg"),
        (b"form-data; filename=\"e.jpg\"; filename*=utf-8''%ff", "e.jpg"),
        (b"form-data; filename*0*=utf-8''%e2%82; filename*1*=%ac; filename*2=.jpg", "\u20ac.jpg"),
        (b'form-data; name="f"; filename=""', ""),
        (b'form-data; name="f"', None),
    ],
)
def test_a_filename_is_read_as_clients_write_it(header: bytes, name: str | None) -> None:
    kind, parameters = parse_header(header)

    assert kind == "form-data"
    assert pick_filename(parameters) == name


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("a.jpg", "a.jpg"),
        ("autumn/2025/a.jpg", "autumn/2025/a.jpg"),
        ("autumn\\2025\\a.jpg", "autumn/2025/a.jpg"),
        ("a\0b\r\nc\x7f\x85.jpg", "abc.jpg"),
        ("a\ud800b.jpg", "a_b.jpg"),
        ("d" * 300 + "/a.jpg", "d" * 249 + "/a.jpg"),
        ("\U0001f431 \u200d\u732b.jpg", "\U0001f431 \u200d\u732b.jpg"),
        ("", None),
        ("\n", None),
        (None, None),
    ],
)
def test_a_name_is_made_fit_to_be_stored(name: str | None, cleaned: str | None) -> None:
    assert clean_name(name) == cleaned


@given(st.text())
def test_a_clean_name_is_always_short_and_encodable(text: str) -> None:
    name = clean_name(text)

    assert name is None or 1 <= len(name) <= 255
    assert (name or "").encode().decode() == (name or "")
    assert clean_name(name) == name


@given(st.binary())
def test_any_header_can_be_read(header: bytes) -> None:
    _, parameters = parse_header(header)
    pick_filename(parameters)
