"""Documents of all requests share one room."""

from __future__ import annotations

import asyncio
import threading

import pytest

from imgsvc.errors import RateLimited
from imgsvc.intake.documents import FREE_BYTES, VALUE_BYTES, DocumentRoom, Documents


def test_what_one_request_holds_is_not_there_for_another_until_it_is_released() -> None:
    room = DocumentRoom(1000)
    first, second = Documents(room), Documents(room)
    first.take(bytes(FREE_BYTES))
    first.take(bytes(600))
    second.take(bytes(FREE_BYTES))
    second.take(bytes(400))
    with pytest.raises(RateLimited):
        second.take(b"x")
    second.take(bytes(400))  # what is refused is given up
    first.release()
    first.release()
    second.take(bytes(600))
    with pytest.raises(RateLimited):
        second.take(b"x")
    assert room.free_bytes == 1000


def test_values_and_wide_characters_are_counted_as_what_they_become() -> None:
    room = DocumentRoom(2 * VALUE_BYTES)
    documents = Documents(room)
    documents.take(bytes(FREE_BYTES - 1))
    with pytest.raises(RateLimited):
        documents.take(b",,", 2)
    documents.take(b",", 2)
    with pytest.raises(RateLimited):
        documents.take("é".encode())


async def test_large_documents_are_parsed_one_after_the_other() -> None:
    parsing = threading.Lock()

    def parse(text: bytes) -> int:
        assert parsing.acquire(blocking=False)
        parsing.release()
        return len(text)

    room = DocumentRoom()
    text = bytes(FREE_BYTES + 1)
    sizes = await asyncio.gather(*(Documents(room).parse(parse, text) for _ in range(20)))
    assert sizes == [len(text)] * 20
