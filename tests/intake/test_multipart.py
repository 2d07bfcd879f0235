"""multipart/form-data as a stream."""

from __future__ import annotations

import asyncio
import re
import tracemalloc
from collections.abc import Iterable

import aiohttp
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from imgsvc.errors import MalformedRequest, PayloadTooLarge
from imgsvc.intake.multipart import MAX_FIELDS, Field, FilePart, read_multipart
from tests.intake.streams import bytewise, cut, cuts, documents, stream

TYPE = "multipart/form-data; boundary=BOUND"

Part = tuple[str, str | None, bytes]


def encode_part(part: Part) -> bytes:
    name, filename, data = part
    extra = f'; filename="{filename}"' if filename is not None else ""
    head = f'--BOUND\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode() + data + b"\r\n"


def encode(parts: Iterable[Part]) -> bytes:
    return b"".join(map(encode_part, parts)) + b"--BOUND--\r\n"


async def read(chunks: Iterable[bytes], content_type: str = TYPE, **caps: int) -> list[Part]:
    parts: list[Part] = []
    async for part in read_multipart(content_type, stream(chunks), documents(), **caps):
        if isinstance(part, Field):
            parts.append((part.name, None, part.value))
        else:
            data = b"".join([chunk async for chunk in part.chunks])
            parts.append((part.name, part.filename, data))
    return parts


async def test_parts_come_in_order() -> None:
    parts = [
        ("label", None, b"x"),
        ("f", "a.jpg", b"A" * 99),
        ("g", "d/b.jpg", b""),
        ("z", None, b""),
    ]

    assert await read([encode(parts)]) == parts


# Bytes of which boundaries are made, so that near misses are common.
_TRICKY = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"BOUND", b"\r\n--BOUN", b"\r\n-", b"x"])
    | st.sampled_from([b"\r\n--BOUNDx", b"\r\n--BOUND-x", b"\r\n--BOUND\r\r", b"\r\n\r\n"]),
    max_size=12,
).map(b"".join)
_ENDS_A_PART = re.compile(rb"\r\n--BOUND(\r\n|--|[ \t]|$)")
_PARTS = st.lists(
    st.tuples(st.just("f"), st.sampled_from([None, "a.jpg"]), st.binary(max_size=40) | _TRICKY),
    max_size=5,
).filter(lambda parts: not any(_ENDS_A_PART.search(b"\r\n" + data) for _, _, data in parts))


@given(parts=_PARTS, places=cuts())
def test_how_a_body_is_cut_makes_no_difference(parts: list[Part], places: list[int]) -> None:
    body = encode(parts)

    assert asyncio.run(read([body])) == parts
    assert asyncio.run(read(cut(body, places))) == parts


@given(parts=_PARTS, before=_TRICKY | st.binary(max_size=40), places=cuts())
def test_what_stands_before_the_first_boundary_is_passed_over(
    parts: list[Part], before: bytes, places: list[int]
) -> None:
    assume(b"--BOUND" not in before)
    body = before + b"\r\n" + encode(parts)
    assert asyncio.run(read([body])) == parts
    assert asyncio.run(read(cut(body, places))) == parts


@pytest.mark.parametrize("before", [b"\n", b"\r", b"\r\n", b"x\n"])
async def test_any_line_end_stands_before_the_first_boundary(before: bytes) -> None:
    parts = [("f", "a.jpg", b"A"), ("g", "b.jpg", b"B")]
    assert await read([before + encode(parts)]) == parts


async def test_no_part_is_taken_for_what_stands_before_the_first() -> None:
    with pytest.raises(MalformedRequest):
        await read([b"x" + encode([("f", "a.jpg", b"A"), ("g", "b.jpg", b"B")])])


@given(parts=_PARTS)
@settings(max_examples=30)
def test_a_body_may_come_byte_by_byte(parts: list[Part]) -> None:
    assert asyncio.run(read(bytewise(encode(parts)))) == parts


@given(parts=_PARTS.filter(bool), end=st.integers(0, 1 << 20))
def test_a_body_that_ends_early_is_malformed(parts: list[Part], end: int) -> None:
    body = encode(parts)
    body = body[: end % (len(body) - len(b"--\r\n"))]
    with pytest.raises(MalformedRequest):
        asyncio.run(read([body]))


@given(st.binary(max_size=300))
def test_garbage_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        asyncio.run(read([body]))
    with pytest.raises(MalformedRequest):
        asyncio.run(read([b"--BOUND\r\n" + body]))


async def test_a_broken_transport_comes_through() -> None:
    body = encode([("f", "a.jpg", b"A" * 99)])
    parts = read_multipart(TYPE, stream([body[:-30]], ConnectionResetError()), documents())
    part = await anext(parts)
    assert isinstance(part, FilePart)

    assert await anext(part.chunks) != b""
    with pytest.raises(ConnectionResetError):
        await anext(part.chunks)


async def test_a_transport_broken_after_the_last_boundary_is_noticed() -> None:
    body = encode([("f", "a.jpg", b"A")])
    with pytest.raises(ConnectionResetError):
        async for _ in read_multipart(TYPE, stream([body], ConnectionResetError()), documents()):
            pass


async def test_what_is_not_read_of_a_part_is_dropped() -> None:
    body = encode([("f", "a.jpg", b"A" * 5000), ("f", "b.jpg", b"B")])
    names = [
        part.filename
        async for part in read_multipart(TYPE, stream(cut(body, range(0, 5000, 100))), documents())
        if isinstance(part, FilePart)
    ]

    assert names == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("chop", [list, bytewise])
async def test_an_empty_file_field_is_skipped(chop: type) -> None:
    parts: list[Part] = [("f", "", b""), ("g", "", b"bytes"), ("h", "a.jpg", b"")]
    body = encode(parts)
    chunks = [body] if chop is list else bytewise(body)

    assert await read(chunks) == [("g", None, b"bytes"), ("h", "a.jpg", b"")]


async def test_fields_are_capped_and_spec_more_widely() -> None:
    assert await read(
        [encode([("spec", None, b"x" * 9), ("label", None, b"x" * 3)])],
        max_spec_bytes=9,
        max_field_bytes=3,
    )
    with pytest.raises(PayloadTooLarge):
        await read([encode([("spec", None, b"x" * 10)])], max_spec_bytes=9)
    with pytest.raises(PayloadTooLarge):
        await read([encode([("label", None, b"x" * 4)])], max_field_bytes=3)
    with pytest.raises(PayloadTooLarge):
        await read([encode([("label", None, b"x")] * (MAX_FIELDS + 1))])


async def test_a_spec_with_a_filename_is_an_image() -> None:
    assert await read([encode([("spec", "spec.json", b"{}")])]) == [("spec", "spec.json", b"{}")]


async def test_a_form_without_parts_is_empty() -> None:
    assert await read([encode([])]) == []


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 201,
        "multipart/form-data; boundary=\u00fc",
        "multipart/mixed; boundary=BOUND",
        "",
    ],
)
async def test_a_missing_boundary_is_malformed(content_type: str) -> None:
    with pytest.raises(MalformedRequest):
        await read([encode([])], content_type)


async def test_a_quoted_boundary_is_understood() -> None:
    assert await read([encode([])], 'Multipart/Form-Data; charset=utf-8; boundary="BOUND"') == []


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"Content-Type: image/jpeg\r\n",
        b"Content-Disposition: form-data\r\n",
        b'Content-Disposition: attachment; name="f"; filename="a"\r\n',
        b'Content-Disposition: form-data; name="f"\r\n' * 2,
        b'Content-Disposition: form-data; name="f"; filename="a"\r\n'
        b"Content-Transfer-Encoding: base64\r\n",
        b'Content-Disposition: form-data; name="f"; filename="' + b"a" * 20_000 + b'"\r\n',
        b"X-Header: x\r\n" * 20,
        b"Content-Disposition form-data\r\n",
    ],
)
async def test_a_part_with_wrong_headers_is_malformed(headers: bytes) -> None:
    with pytest.raises(MalformedRequest):
        await read([b"--BOUND\r\n" + headers + b"\r\ndata\r\n--BOUND--\r\n"])


async def test_the_type_of_a_file_is_as_sent() -> None:
    head = b'Content-Disposition: form-data; name="f"; filename="a"\r\ncontent-type: image/JPEG\r\n'
    body = b"--BOUND\r\n" + head + b"\r\ndata\r\n--BOUND--\r\n"
    types = [
        part.content_type
        async for part in read_multipart(TYPE, stream([body]), documents())
        if isinstance(part, FilePart)
    ]

    assert types == ["image/JPEG"]


async def test_a_field_that_is_not_utf8_is_malformed() -> None:
    assert Field("label", "\u00fc".encode()).text() == "\u00fc"
    with pytest.raises(MalformedRequest):
        Field("label", b"\xff").text()


async def test_forms_of_aiohttp_are_understood() -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("label", "autumn \u00fc")
    form.add_field("files", b"bytes", filename='h\u00e4 "quoted".jpg', content_type="image/jpeg")
    payload = form()
    body = await payload.as_bytes()

    assert await read(
        [body], payload.content_type + _boundary_of(payload.headers["Content-Type"])
    ) == [
        ("label", None, "autumn \u00fc".encode()),
        ("files", 'h\u00e4 "quoted".jpg', b"bytes"),
    ]


def _boundary_of(content_type: str) -> str:
    return content_type[content_type.index(";") :]


async def test_memory_stays_flat_however_long_a_file_is() -> None:
    head = encode_part(("f", "a.jpg", b""))[:-2]
    block = bytes(range(256)) * 256

    async def body() -> object:
        yield head
        for _ in range(500):
            yield block
        yield b"\r\n--BOUND--\r\n"

    tracemalloc.start()
    size_bytes = 0
    async for part in read_multipart(TYPE, body(), documents()):  # type: ignore[arg-type]
        assert isinstance(part, FilePart)
        async for chunk in part.chunks:
            size_bytes += len(chunk)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size_bytes == 500 * len(block)
    assert peak_bytes < 2_000_000


@pytest.mark.parametrize("before_bytes", [0, 200_000])
async def test_others_have_their_turns_while_a_chunk_full_of_tiny_parts_is_read(
    before_bytes: int,
) -> None:
    """Be it the first one, or one that does not begin with them."""
    chunk = encode_part(("f", "", b"x" * before_bytes)) + encode_part(("f", "", b"")) * (1 << 14)

    parts, turns = await read_beside([chunk, b"--BOUND--\r\n"])

    assert len(parts) == (before_bytes > 0)
    assert turns >= len(chunk) // (64 << 10)


async def test_others_have_their_turns_where_all_looks_like_the_end_of_a_part() -> None:
    part = ("f", "a.jpg", b"\r\n--BOUNDx" * (1 << 16))

    parts, turns = await read_beside([encode([part])])

    assert parts == [part]
    assert turns >= len(part[2]) // (64 << 10)


async def read_beside(chunks: Iterable[bytes]) -> tuple[list[Part], int]:
    """The parts, and how many turns somebody else had meanwhile."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    parts = await read(chunks)
    other.cancel()
    return parts, turns


async def test_an_end_that_has_spaces_behind_it_is_one() -> None:
    body = encode([("f", "a.jpg", b"A"), ("g", "b.jpg", b"B")])
    padded = body.replace(b"A\r\n--BOUND", b"A\r\n--BOUND \t")

    assert padded != body
    assert await read([padded]) == await read(bytewise(padded)) == await read([body])


async def test_the_parts_of_a_large_chunk_are_told_apart() -> None:
    parts = [("f", "a.jpg", bytes(range(256)) * 5000), ("g", "b.jpg", b"B" * 700_000)]

    assert await read([encode(parts)]) == parts
