from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsvc.domain.ids import new_id
from imgsvc.errors import InvalidRequest
from imgsvc.store.cursors import decode_id_cursor, decode_index_cursor, encode_cursor


def coded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@given(st.integers(min_value=0, max_value=2**53))
def test_an_index_comes_back(index: int) -> None:
    assert decode_index_cursor(encode_cursor(index)) == index


def test_an_id_comes_back() -> None:
    id_ = new_id()
    assert decode_id_cursor(encode_cursor(id_)) == id_


@pytest.mark.parametrize(
    "cursor",
    ["", "*", "a", "ä", "W", coded("{"), coded("{}"), coded("[]"), coded("[1,2]"),
     coded("[-1]"), coded("[1.5]"), coded("[true]"), coded("[null]"), coded('["x"]'),
     coded("[1" + "0" * 30 + "]"), coded("[" * 90_000), coded("[NaN]"), encode_cursor("'; --")],
)  # fmt: skip
def test_a_tampered_cursor_is_refused_by_its_name(cursor: str) -> None:
    for decode in (decode_id_cursor, decode_index_cursor):
        with pytest.raises(InvalidRequest) as caught:
            decode(cursor)
        assert [fault.pointer for fault in caught.value.faults] == ["/cursor"]


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        decode_index_cursor(encode_cursor(new_id()))
    with pytest.raises(InvalidRequest):
        decode_id_cursor(encode_cursor(3))


@given(st.text(max_size=60))
def test_no_text_breaks_the_decoder(text: str) -> None:
    with suppress(InvalidRequest):
        assert decode_index_cursor(text) >= 0
