"""JSON bodies with images inside."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.stage import Stage
from imgsvc.domain.ids import new_id
from imgsvc.domain.image import NewImage, SourceKind
from imgsvc.errors import ImageErrorCode, MalformedRequest, PayloadTooLarge, TooManyImages
from imgsvc.intake.json_body import JsonBody, JsonLimits, read_json, read_plain_json
from imgsvc.intake.json_document import MAX_DEPTH, MAX_VALUES, parse_document
from imgsvc.intake.json_scanner import LiftPath
from tests.intake.streams import bytewise, cut, cuts, documents, stream

LIMITS = JsonLimits(max_images=100, max_image_bytes=1 << 20, max_json_bytes=1 << 24)
ALL_LIFTS: list[LiftPath] = [("images", None, "data"), ("images", None, "base64"), ("image_data",)]


@pytest.fixture
def stage(blobs: BlobStore) -> Stage:
    return blobs.stage(new_id())


async def read_images(blobs: BlobStore, stage: Stage, body: bytes | Iterable[bytes]) -> list[Any]:
    """What became of each image's data: its bytes, or the code of its failure."""
    chunks = [body] if isinstance(body, bytes) else body
    read = await read_json(stream(chunks), stage, LIMITS, documents())
    return [outcome(blobs, stage, image) for image in read.images.values()]


def outcome(blobs: BlobStore, stage: Stage, image: NewImage) -> bytes | ImageErrorCode:
    path = blobs.input_path(stage.job_id, image.id)
    if image.failure is not None:
        assert not path.exists()
        return image.failure.code
    data = path.read_bytes()
    assert (image.size_bytes, image.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    return data


def with_data(text: str) -> bytes:
    """A body whose one image has `text`, JSON-escaped by the caller, as its data."""
    return b'{"images": [{"data": "%s"}]}' % text.encode()


def restore(body: JsonBody, data: dict[str, Any]) -> Any:
    """The document with what was lifted put back."""
    text = json.dumps(body.document)
    for placeholder in body.images:
        text = text.replace(json.dumps(placeholder), json.dumps(data[placeholder]))
    return json.loads(text)


async def test_images_are_lifted_and_the_rest_is_kept(blobs: BlobStore, stage: Stage) -> None:
    spec = {
        "images": [
            {"data": base64.b64encode(b"first").decode(), "name": "a.jpg"},
            {"url": "https://example.org/b.jpg"},
            {"name": "c.jpg", "data": base64.b64encode(b"third").decode()},
        ],
        "label": 'a "quoted" label',
        "recipe": {"variants": [{"name": "v", "data": "stays", "images": [{"data": "stays"}]}]},
    }
    body = await read_json(stream([json.dumps(spec).encode()]), stage, LIMITS, documents())
    placeholders = [body.document["images"][n]["data"] for n in (0, 2)]

    assert list(body.images) == placeholders
    assert restore(body, dict(zip(placeholders, ["Zmlyc3Q=", "dGhpcmQ="], strict=True))) == spec
    assert [outcome(blobs, stage, body.images[p]) for p in placeholders] == [b"first", b"third"]
    assert {image.kind for image in body.images.values()} == {SourceKind.BASE64}
    assert {image.name for image in body.images.values()} == {None}


@pytest.mark.parametrize(
    ("path", "document"),
    [
        (("images", None, "base64"), {"images": [{"base64": "QUJD"}]}),
        (("image_data",), {"operation": "resize", "image_data": "QUJD"}),
    ],
)
async def test_what_is_lifted_is_for_the_caller_to_say(
    blobs: BlobStore, stage: Stage, path: LiftPath, document: Any
) -> None:
    body = await read_json(
        stream([json.dumps(document).encode()]), stage, LIMITS, documents(), lift=[path]
    )

    assert [outcome(blobs, stage, image) for image in body.images.values()] == [b"ABC"]
    other = await read_json(stream([json.dumps(document).encode()]), stage, LIMITS, documents())
    assert (other.document, other.images) == (document, {})


@pytest.mark.parametrize(
    "document",
    [
        {"data": "QUJD"},
        [{"images": [{"data": "QUJD"}]}],
        {"images": {"data": "QUJD"}},
        {"images": [["data", "QUJD"]]},
        {"images": [{"data": ["QUJD"]}]},
        {"images": [{"data": {"data": "QUJD"}}]},
        {"images": [{"data": None, "name": "data"}]},
        {"x": {"images": [{"data": "QUJD"}]}},
        "images",
    ],
)
async def test_a_string_elsewhere_is_not_lifted(stage: Stage, document: Any) -> None:
    body = await read_json(stream([json.dumps(document).encode()]), stage, LIMITS, documents())

    assert (body.document, body.images) == (document, {})


async def test_keys_are_compared_unescaped(blobs: BlobStore, stage: Stage) -> None:
    body = rb'{"im\u0061ges": [{"d\u0061ta": "QUJD"}]}'

    assert await read_images(blobs, stage, body) == [b"ABC"]
    assert await read_images(blobs, stage, bytewise(body)) == [b"ABC"]


_FORMS = {
    "plain": "QUJDRA==",
    "no padding": "QUJDRA",
    "some padding": "QUJDRA=",
    "whitespace": r"  QU JD\r\n\tRA==\n",
    "escaped letters": r"\u0051UJDR\u0041==",
    "data uri": "data:image/png;base64,QUJDRA==",
    "data uri, escaped": r"data:image\/png;base64,QUJDRA==",
    "data uri, upper case": "DATA:IMAGE/PNG;BASE64,QUJDRA==",
}


@pytest.mark.parametrize("chop", [lambda body: [body], bytewise], ids=["whole", "bytewise"])
@pytest.mark.parametrize("text", _FORMS.values(), ids=_FORMS)
async def test_base64_is_read_in_every_form_that_clients_send(
    blobs: BlobStore, stage: Stage, text: str, chop: Any
) -> None:
    assert await read_images(blobs, stage, chop(with_data(text))) == [b"ABCD"]


@pytest.mark.parametrize("text", [r"\/\/\/\/", "____", "////", r"\u002f_/\/"])
async def test_slashes_come_in_every_spelling(blobs: BlobStore, stage: Stage, text: str) -> None:
    assert await read_images(blobs, stage, with_data(text)) == [b"\xff\xff\xff"]


@pytest.mark.parametrize("chop", [lambda body: [body], bytewise], ids=["whole", "bytewise"])
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", ImageErrorCode.EMPTY_IMAGE),
        ("  ", ImageErrorCode.EMPTY_IMAGE),
        ("data:image/png;base64,", ImageErrorCode.EMPTY_IMAGE),
        ("A", ImageErrorCode.INVALID_DATA),
        ("QUJD*", ImageErrorCode.INVALID_DATA),
        ("QUJD\u00fc", ImageErrorCode.INVALID_DATA),
        (r"QUJD\ud800\"", ImageErrorCode.INVALID_DATA),
        (r"\\\\", ImageErrorCode.INVALID_DATA),
        ("QQ==QQ==", ImageErrorCode.INVALID_DATA),
        ("data:image/png,QUJD", ImageErrorCode.INVALID_DATA),
        ("data:image/png;base64", ImageErrorCode.INVALID_DATA),
        ("data:" + "x" * 3000, ImageErrorCode.INVALID_DATA),
        ("https://example.org/a.jpg", ImageErrorCode.INVALID_DATA),
        ("A" * 1_500_000, ImageErrorCode.TOO_MANY_BYTES),
    ],
)
async def test_a_bad_image_fails_alone(
    blobs: BlobStore, stage: Stage, text: str, code: ImageErrorCode, chop: Any
) -> None:
    if len(text) > 10_000:
        chop = lambda body: cut(body, range(0, len(body), 9973))  # noqa: E731
    body = b'{"images": [{"data": "%s"}, {"data": "QUJD"}]}' % text.encode()

    assert await read_images(blobs, stage, chop(body)) == [code, b"ABC"]


@pytest.mark.parametrize("chop", [lambda body: [body], bytewise], ids=["whole", "bytewise"])
@pytest.mark.parametrize("start", [b"QUJD", b"*broken*", "\u00fc".encode()])
@pytest.mark.parametrize(
    "wrong", [rb"\x", rb"\u12g4", b"\n", b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80"]
)
async def test_an_image_that_is_no_json_string_refuses_the_body(
    stage: Stage, start: bytes, wrong: bytes, chop: Any
) -> None:
    for rest in (b"QUJD", b""):
        body = b'{"images": [{"data": "%s%s%s"}]}' % (start, wrong, rest)
        with pytest.raises(MalformedRequest):
            await read_json(stream(chop(body)), stage, LIMITS, documents())


_NAMES = st.sampled_from(
    ["images", "data", "base64", "image_data", "x", 'q"\\', "\u00fc\U0001f431"]
)
_DATA = st.binary(max_size=30).map(lambda data: base64.b64encode(data).decode()) | st.text(
    max_size=9
)
_DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _DATA,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_NAMES, inner, max_size=4)
        | st.lists(st.dictionaries(_NAMES, _DATA, max_size=3), max_size=3).map(
            lambda v: {"images": v}
        )
    ),
    max_leaves=12,
)


def spell(document: Any, *, ascii_only: bool, indent: int | None) -> bytes:
    return json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode(
        "utf-8", "surrogatepass"
    )


def read_in_fresh_folder(chunks: Iterable[bytes], lift: list[LiftPath]) -> tuple[Any, list[Any]]:
    """The document with numbered placeholders, and what became of each image."""

    async def read() -> tuple[Any, list[Any]]:
        with tempfile.TemporaryDirectory() as folder:
            blobs = BlobStore(Path(folder))
            await blobs.prepare()
            stage = blobs.stage(new_id())
            body = await read_json(stream(chunks), stage, LIMITS, documents(), lift=lift)
            outcomes = [outcome(blobs, stage, image) for image in body.images.values()]
            numbers = {placeholder: n for n, placeholder in enumerate(body.images)}
            blobs.close()
        return restore(body, numbers), outcomes

    return asyncio.run(read())


@given(document=_DOCUMENTS, ascii_only=st.booleans(), indent=st.none() | st.just(1), places=cuts())
@settings(max_examples=60)
def test_without_lifts_every_document_is_read_as_json_loads_does(
    document: Any, ascii_only: bool, indent: int | None, places: list[int]
) -> None:
    body = spell(document, ascii_only=ascii_only, indent=indent)

    assert read_in_fresh_folder(cut(body, places), []) == (json.loads(body), [])


@given(document=_DOCUMENTS, ascii_only=st.booleans(), places=cuts())
@settings(max_examples=60)
def test_how_a_body_is_cut_makes_no_difference(
    document: Any, ascii_only: bool, places: list[int]
) -> None:
    body = spell(document, ascii_only=ascii_only, indent=None)

    assert read_in_fresh_folder(cut(body, places), ALL_LIFTS) == read_in_fresh_folder(
        [body], ALL_LIFTS
    )


@given(
    document=_DOCUMENTS,
    place=st.integers(0, 1 << 20),
    junk=st.sampled_from(list(b'{}[]",:\\x\0 e1')),
)
@settings(max_examples=100)
def test_a_damaged_document_is_refused_where_json_loads_refuses_it(
    document: Any, place: int, junk: int
) -> None:
    body = bytearray(spell(document, ascii_only=True, indent=None))
    body[place % len(body)] = junk
    try:
        json.loads(body)
    except ValueError:
        with pytest.raises(MalformedRequest):
            read_in_fresh_folder([bytes(body)], ALL_LIFTS)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b'{"a": 1',
        b'"a',
        b"[1, 2",
        b"[1}",
        b"]",
        b"{} {}",
        b"{'a': 1}",
        b'{"a": NaN}',
        b"[-Infinity]",
        b"[1e999]",
        b'{"a": 1, "b": {"c": 1, "c": 2}}',
        b'{"images": [{"data": "QUJD", "data": "QUJD"}]}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a": {"\\ud800": 1}}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\n"',
        b"1" * 5000,
        "[]".encode("utf-16"),
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
    ids=lambda text: repr(text[:24]),
)
async def test_what_is_not_strict_json_is_malformed(stage: Stage, text: bytes) -> None:
    with pytest.raises(MalformedRequest):
        await read_json(stream([text]), stage, LIMITS, documents())
    with pytest.raises(MalformedRequest):
        parse_document(text)


async def test_64_levels_and_a_byte_order_mark_are_fine(stage: Stage) -> None:
    text = b"\xef\xbb\xbf" + b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH

    read = await read_json(stream([text]), stage, LIMITS, documents())
    assert read.document == parse_document(text)
    with pytest.raises(MalformedRequest):
        parse_document(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


async def test_a_document_with_too_many_values_is_refused_as_soon_as_that_is_known(
    stage: Stage,
) -> None:
    with pytest.raises(PayloadTooLarge):
        parse_document(b"[" + b"1," * MAX_VALUES + b"1]")
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"1," * 10_000

    with pytest.raises(PayloadTooLarge):
        await read_json(endless(), stage, LIMITS, documents())
    assert taken == MAX_VALUES // 10_000 + 1


async def test_sizes_are_limited(stage: Stage) -> None:
    limits = JsonLimits(
        max_images=2, max_image_bytes=10, max_json_bytes=220, max_document_bytes=200
    )
    fits = b'{"images": [{"data": "QUJD"}], "label": "%s"}'
    await read_json(stream([fits % b"x"]), stage, limits, documents())
    with pytest.raises(PayloadTooLarge):
        await read_json(stream([fits % (b"x" * 150)]), stage, limits, documents())
    with pytest.raises(PayloadTooLarge):
        await read_json(
            stream([b'{"images": [{"data": "', b"QUJD" * 60]), stage, limits, documents()
        )
    with pytest.raises(TooManyImages):
        await read_json(stream([b'{"images": [' + b'{"data":""},' * 3]), stage, limits, documents())


async def test_the_loop_gets_its_turn_within_a_large_chunk(stage: Stage) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    body = with_data("QUJD" * 200_000)
    await read_json(stream([body]), stage, LIMITS, documents())
    counting.cancel()

    assert turns > len(body) / 100_000


async def test_a_body_that_breaks_off_leaves_nothing_after_discard(
    blobs: BlobStore, stage: Stage
) -> None:
    image = base64.b64encode(os.urandom(900_000))
    body = b'{"images": [{"data": "' + image + b'"}, {"data": "' + image
    with pytest.raises(ConnectionResetError):
        await read_json(stream([body], ConnectionResetError()), stage, LIMITS, documents())
    with pytest.raises(MalformedRequest):
        await read_json(stream([body]), stage, LIMITS, documents())
    assert await blobs.job_folders() == [stage.job_id]
    await stage.discard()

    assert await blobs.job_folders() == []


async def test_memory_stays_flat_however_large_the_images_are(stage: Stage) -> None:
    images, image = 8, base64.b64encode(os.urandom(3 << 20))

    async def body() -> AsyncIterator[bytes]:
        yield b'{"images": ['
        for number in range(images):
            yield b'%s{"name": "a.jpg", "data": "' % (b"," if number else b"")
            for start in range(0, len(image), 100_000):
                yield image[start : start + 100_000]
            yield b'"}'
        yield b"]}"

    limits = JsonLimits(max_images=100, max_image_bytes=1 << 26, max_json_bytes=1 << 30)
    tracemalloc.start()
    read = await read_json(body(), stage, limits, documents())
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [image.size_bytes for image in read.images.values()] == [3 << 20] * images
    assert peak_bytes < 5_000_000


async def test_plain_json_is_read_under_a_cap() -> None:
    read = await read_plain_json(stream([b'{"a"', b": 1}"]), documents(), max_json_bytes=9)
    assert read == {"a": 1}
    long = stream([b'"', b"x" * 300_000, b'"'])
    assert len(await read_plain_json(long, documents(), max_json_bytes=1 << 20)) == 300_000
    with pytest.raises(PayloadTooLarge):
        await read_plain_json(stream([b'{"a"', b": 1}"]), documents(), max_json_bytes=7)
