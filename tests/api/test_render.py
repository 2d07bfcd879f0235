"""One image in, one file out: parameters, answers, problems."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.pictures import (
    cut,
    make_animation,
    make_bomb_png,
    make_jpeg,
    make_png,
    make_sprite_png,
    make_svg,
)
from tests.servers import Running, form_of, until_nothing_is_left

pytestmark = pytest.mark.asyncio(loop_scope="module")

RENDER = "/api/v1/render"
JPEG = {"Content-Type": "image/jpeg"}


async def _render(
    server: Running, body: Any = None, headers: Any = None, **query: str
) -> tuple[Image.Image, aiohttp.ClientResponse]:
    data = make_jpeg(64, 48) if body is None else body
    async with server.http.post(RENDER, params=query, data=data, headers=headers) as answer:
        content = await answer.read()
        assert answer.status == 200, content
        assert int(answer.headers["Content-Length"]) == len(content)
        return Image.open(io.BytesIO(content)), answer


async def _refused(
    server: Running, body: Any = None, headers: Any = None, **query: str
) -> dict[str, Any]:
    data = make_jpeg(64, 48) if body is None else body
    async with server.http.post(RENDER, params=query, data=data, headers=headers) as answer:
        assert answer.content_type == "application/problem+json"
        problem: dict[str, Any] = await answer.json()
        assert problem["status"] == answer.status
        return problem


async def _nothing_is_left(server: Running) -> None:
    await until_nothing_is_left(server.core.settings.storage.data_dir)


async def test_the_fields_of_a_variant_make_the_file(server: Running) -> None:
    fields = {"mode": "fill", "gravity": "0,0", "format": "png", "grayscale": "true"}
    picture, answer = await _render(server, width="32", height="32", **fields)
    assert (picture.format, picture.size) == ("PNG", (32, 32))
    assert answer.content_type == "image/png"
    await _nothing_is_left(server)


async def test_nothing_asked_for_gives_the_same_format_and_size(server: Running) -> None:
    picture, answer = await _render(server)
    assert (picture.format, picture.size) == ("JPEG", (64, 48))
    assert "Imgsvc-Warnings" not in answer.headers


async def test_a_preset_of_one_variant_makes_the_file(server: Running) -> None:
    picture, _ = await _render(server, make_png(400, 300), preset="thumbnail")
    assert (picture.format, picture.size) == ("WEBP", (200, 150))


async def test_one_variant_of_a_preset_can_be_chosen(server: Running) -> None:
    picture, _ = await _render(server, make_png(400, 300), preset="standard", variant="thumbnail")
    assert picture.size == (200, 150)


@pytest.mark.parametrize("query", [{"preset": "standard"}, {"preset": "web", "variant": "w1"}])
async def test_a_preset_of_several_variants_wants_one_named(
    server: Running, query: dict[str, str]
) -> None:
    problem = await _refused(server, **query)
    assert (problem["status"], problem["code"]) == (422, "invalid_request")
    (fault,) = problem["errors"]
    assert fault["pointer"] == "/variant"
    assert {"standard": "grayscale", "web": "w480-avif"}[query["preset"]] in fault["detail"]


async def test_the_answer_is_not_to_be_kept_and_says_what_it_is(server: Running) -> None:
    async with server.http.post(RENDER, data=make_jpeg(), headers=JPEG) as answer:
        content = await answer.read()
        headers = answer.headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not {"ETag", "Last-Modified", "Accept-Ranges"} & set(headers)
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert headers["Repr-Digest"] == f"sha-256=:{digest}:"


async def test_the_file_is_called_as_the_image_was(server: Running) -> None:
    _, answer = await _render(server, name="trip/Söße.jpeg", format="webp")
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"S__e.webp\"; filename*=UTF-8''S%C3%B6%C3%9Fe.webp"
    )
    _, answer = await _render(server, inline="1")
    assert answer.headers["Content-Disposition"] == 'inline; filename="image.jpg"'
    _, answer = await _render(server, form_of(("cat.png", make_png())))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="cat.png"'


async def test_what_was_done_otherwise_is_told_in_a_header(server: Running) -> None:
    _, answer = await _render(server, width="500", format="png", quality="50")
    assert answer.headers["Imgsvc-Warnings"] == "not_enlarged, quality_ignored"


@pytest.mark.parametrize(
    "headers",
    [None, JPEG, {"Content-Type": "application/octet-stream"}, {"Content-Type": "image/x-odd"}],
)
async def test_the_type_of_the_body_does_not_matter_as_long_as_it_may_be_an_image(
    server: Running, headers: dict[str, str] | None
) -> None:
    picture, _ = await _render(server, make_png(), headers, width="10")
    assert picture.size == (10, 8)


async def test_a_form_with_one_file_is_taken(server: Running) -> None:
    picture, _ = await _render(server, form_of(("a.png", make_png())), width="16")
    assert picture.size == (16, 12)


@pytest.mark.parametrize(
    ("form", "pointer"),
    [
        (lambda: form_of(), ""),
        (lambda: form_of(("a", make_png()), ("b", make_png())), "/files"),
        (lambda: form_of(("a", make_png()), width="3"), "/width"),
    ],
)
async def test_a_form_with_anything_else_is_refused(
    server: Running, form: Any, pointer: str
) -> None:
    problem = await _refused(server, form())
    assert (problem["status"], problem["code"]) == (422, "invalid_request")
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]
    await _nothing_is_left(server)


@pytest.mark.parametrize(
    ("body", "query", "status", "code"),
    [
        (b"", {}, 422, "empty_image"),
        (b"no image", {}, 422, "unsupported_format"),
        (make_svg(), {}, 422, "unsupported_format"),
        (cut(make_jpeg(300, 300)), {}, 422, "corrupt_image"),
        (make_bomb_png(), {}, 422, "too_many_pixels"),
        (make_animation(frames=300, width=4, height=4), {}, 422, "too_many_frames"),
        (make_jpeg(8, 8), {"crop": "0,0,9,8"}, 422, "output_too_large"),
        (io.BytesIO(bytes((1 << 20) + 1)), {}, 413, "payload_too_large"),
        (None, {"width": "0"}, 422, "invalid_recipe"),
        (None, {"preset": "nonsense"}, 422, "invalid_request"),
        (None, {"preset": "thumbnail", "width": "3"}, 422, "invalid_request"),
        (None, {"variant": "thumbnail"}, 422, "invalid_request"),
        (None, {"wdith": "3"}, 422, "invalid_request"),
        (None, {"name": "n" * 256}, 422, "invalid_request"),
    ],
)  # fmt: skip
async def test_what_cannot_be_made_is_a_problem_and_leaves_nothing(
    server: Running, body: Any, query: dict[str, str], status: int, code: str
) -> None:
    problem = await _refused(server, body, **query)
    assert (problem["status"], problem["code"]) == (status, code)
    await _nothing_is_left(server)


async def test_a_body_that_grows_too_large_is_refused_while_it_comes(server: Running) -> None:
    async def chunks() -> Any:
        for _ in range(17):
            yield bytes(1 << 16)

    problem = await _refused(server, chunks(), JPEG)
    assert (problem["status"], problem["code"]) == (413, "payload_too_large")
    problem = await _refused(server, form_of(("a.png", bytes((1 << 20) + 1))))
    assert (problem["status"], problem["code"]) == (413, "payload_too_large")
    await _nothing_is_left(server)


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ({"width": "0", "quality": "x"}, ["/width", "/quality"]),
        ({"gravity": "2,0.5", "mode": "fill"}, ["/gravity/x"]),
        ({"crop": "1,2"}, ["/crop"]),
    ],
)
async def test_a_wrong_field_is_named_as_the_query_has_it(
    server: Running, query: dict[str, str], pointers: list[str]
) -> None:
    problem = await _refused(server, **query)
    assert problem["code"] == "invalid_recipe"
    assert [fault["pointer"] for fault in problem["errors"]] == pointers
    assert "/recipe" not in problem["detail"]


async def test_another_kind_of_body_is_not_understood(server: Running) -> None:
    problem = await _refused(server, b"{}", {"Content-Type": "application/json"})
    assert (problem["status"], problem["code"]) == (415, "unsupported_media_type")


async def test_it_is_a_post_and_nothing_else(server: Running) -> None:
    async with server.http.get(RENDER) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_no_page_of_another_site_may_ask(server: Running) -> None:
    problem = await _refused(server, headers={"Origin": "http://evil.example"})
    assert problem["status"] == 403


async def test_nothing_of_it_is_in_the_database(server: Running) -> None:
    await _render(server, make_sprite_png(), format="jpeg", background="#00ff00")
    async with server.http.get("/api/v1/jobs") as answer:
        assert (await answer.json())["items"] == []
