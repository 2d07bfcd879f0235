"""POST /api/v1/jobs: what is taken, and what becomes of it."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import aiohttp
import pytest
from PIL import Image as PillowImage
from watchfiles import awatch

from tests.pictures import make_jpeg, make_png
from tests.servers import Running, form_of, get_json, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

TINY: dict[str, Any] = {"variants": [{"name": "tiny", "width": 16, "format": "webp"}]}


async def _images(server: Running, job: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await get_json(server, job["links"]["images"]))["items"]
    return items


async def _job_ids(server: Running) -> list[str]:
    return [job["id"] for job in (await get_json(server, "/api/v1/jobs?limit=500"))["items"]]


async def test_a_form_of_files_makes_every_variant_of_the_default_preset(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(1200, 900)), ("b.png", make_png(90, 120)))
    assert (job["status"], job["completed"], job["progress"]) == ("completed", 2, 100.0)
    assert job["preset"] == "standard"
    first, second = await _images(server, job)
    sizes = {o["variant"]: (o["width"], o["height"]) for o in first["outputs"]}
    assert sizes == {"standard": (800, 600), "thumbnail": (200, 150), "grayscale": (800, 600)}
    assert {w["code"] for w in second["warnings"]} == {"not_enlarged"}
    async with server.http.get(first["outputs"][0]["url"]) as answer:
        with PillowImage.open(io.BytesIO(await answer.read())) as picture:
            assert (picture.format, picture.size) == ("WEBP", (800, 600))


async def test_the_answer_is_202_with_the_jobs_address(server: Running) -> None:
    form = form_of(("a.jpg", make_jpeg(40, 30)))
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job = await answer.json()
        assert answer.status == 202
        assert answer.headers["Location"] == job["links"]["self"] == f"/api/v1/jobs/{job['id']}"
    assert job["total"] == 1
    assert job["source"] == "api"


async def test_prefer_wait_holds_the_answer_until_the_end(server: Running) -> None:
    form = form_of(("a.jpg", make_jpeg(40, 30)), preset="thumbnail")
    headers = {"Prefer": "wait=30"}
    async with server.http.post("/api/v1/jobs", data=form, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Preference-Applied"] == "wait=30"
        assert (await answer.json())["status"] == "completed"


async def test_a_wait_that_ends_before_the_job_is_not_applied(server: Running) -> None:
    headers = {"Prefer": "wait=0"}
    async with server.http.post("/api/v1/jobs", json={"open": True}, headers=headers) as answer:
        assert answer.status == 202
        assert "Preference-Applied" not in answer.headers


async def test_simple_fields_say_what_is_wanted_also_after_the_files(server: Running) -> None:
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("any", make_jpeg(64, 48), filename="a.jpg")
    form.add_field("preset", "thumbnail")
    form.add_field("label", "autumn shop")
    form.add_field("priority", "high")
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job = await answer.json()
    assert (job["preset"], job["label"], job["priority"]) == ("thumbnail", "autumn shop", "high")


@pytest.mark.parametrize("spec_first", [True, False])
async def test_a_spec_field_holds_the_whole_request(server: Running, spec_first: bool) -> None:
    spec = json.dumps({"recipe": TINY, "label": "x"})
    form = aiohttp.FormData(default_to_multipart=True)
    if spec_first:
        form.add_field("spec", spec)
    for number in range(5):
        form.add_field("f", make_jpeg(64, 48 + number), filename=f"{number}.jpg")
    if not spec_first:
        form.add_field("spec", spec)
    headers = {"Prefer": "wait=30"}
    async with server.http.post("/api/v1/jobs", data=form, headers=headers) as answer:
        job = await answer.json()
    assert (job["completed"], job["preset"], job["recipe"]) == (5, None, TINY)
    assert [i["name"] for i in await _images(server, job)] == [f"{n}.jpg" for n in range(5)]


async def test_json_with_base64_and_data_uris_is_taken(server: Running) -> None:
    picture = base64.b64encode(make_jpeg(64, 48)).decode()
    body = {
        "images": [
            {"data": picture, "name": "a.jpg"},
            {"data": f"data:image/jpeg;base64,{picture}"},
        ],
        "recipe": TINY,
    }
    headers = {"Prefer": "wait=30"}
    async with server.http.post("/api/v1/jobs", json=body, headers=headers) as answer:
        job = await answer.json()
    assert job["completed"] == 2
    images = await _images(server, job)
    assert [image["name"] for image in images] == ["a.jpg", "image-1"]
    assert images[0]["source"] == {"kind": "base64", "url": None}
    assert images[0]["input"]["sha256"] == images[1]["input"]["sha256"]


@pytest.mark.parametrize(
    "path", ["/api/v1/jobs", "/upload", "/api/v1/batch", "/api/upload", "/jobs"]
)
async def test_nothing_at_all_is_no_image_and_not_another_kind_of_body(
    server: Running, path: str
) -> None:
    async with server.http.post(path, skip_auto_headers=["Content-Type"]) as answer:
        assert (answer.status, (await answer.json())["code"]) == (422, "invalid_request")


async def test_a_raw_body_is_one_image(server: Running) -> None:
    async with server.http.post(
        "/api/v1/jobs?name=cat.jpg&preset=thumbnail&label=one",
        data=make_jpeg(64, 48),
        headers={"Content-Type": "image/jpeg", "Prefer": "wait=30"},
    ) as answer:
        job = await answer.json()
    assert (job["completed"], job["label"]) == (1, "one")
    assert (await _images(server, job))[0]["name"] == "cat.jpg"


@pytest.mark.parametrize("path", ["", "/{id}/images"])
async def test_the_name_of_a_raw_image_is_as_long_as_in_a_document(
    server: Running, path: str
) -> None:
    async with server.http.post("/api/v1/jobs", json={"open": True}) as answer:
        target = "/api/v1/jobs" + path.format(**await answer.json())
    for chars, status in ((255, 202), (256, 422)):
        async with server.http.post(
            target,
            params={"name": "é" * chars},
            data=make_jpeg(64, 48),
            headers={"Content-Type": "image/jpeg"},
        ) as answer:
            assert answer.status == status
            problem = await answer.json()
    assert problem["errors"] == [{"pointer": "/name", "detail": "at most 255 characters"}]


async def test_bad_images_fail_alone_each_with_its_code(server: Running) -> None:
    good = make_jpeg(64, 48)
    job = await submit(
        server,
        ("good.jpg", good),
        ("text.jpg", b"this is no picture"),
        ("empty.jpg", b""),
        ("cut.jpg", make_jpeg(400, 300)[:2000]),
        ("big.jpg", b"\xff\xd8\xff" + bytes(1 << 20)),
        ("also-good.jpg", good),
        preset="thumbnail",
    )
    assert job["status"] == "partial"
    assert (job["completed"], job["failed"]) == (2, 4)
    codes = [image["error"] and image["error"]["code"] for image in await _images(server, job)]
    assert codes == [
        None, "unsupported_format", "empty_image", "corrupt_image", "too_many_bytes", None,
    ]  # fmt: skip
    assert job["errors"] == {code: 1 for code in codes if code}


async def test_broken_base64_fails_its_image_only(server: Running) -> None:
    picture = base64.b64encode(make_jpeg(64, 48)).decode()
    body = {"images": [{"data": "%%%"}, {"data": picture}, {"data": ""}], "recipe": TINY}
    headers = {"Prefer": "wait=30"}
    async with server.http.post("/api/v1/jobs", json=body, headers=headers) as answer:
        job = await answer.json()
    assert job["errors"] == {"invalid_data": 1, "empty_image": 1}
    assert job["status"] == "partial"


async def test_a_job_of_bad_images_only_is_failed(server: Running) -> None:
    job = await submit(server, ("a.jpg", b"no"), ("b.jpg", b""))
    assert job["status"] == "failed"


BAD_JSON: list[tuple[Any, int, str, str]] = [
    ({"images": []}, 422, "invalid_request", "/images"),
    ({"images": [{"data": "aGk="}], "colour": 1}, 422, "invalid_request", "/colour"),
    ({"images": [{"data": "aGk="}], "preset": "nope"}, 422, "invalid_request", "/preset"),
    ({"images": [{}]}, 422, "invalid_request", "/images/0"),
    ({"images": [{"data": "aGk="}], "priority": "now"}, 422, "invalid_request", "/priority"),
    ({"images": [{"data": "aGk="}], "label": "x" * 201}, 422, "invalid_request", "/label"),
    ({"images": [{"data": "aGk="}], "recipe": {}}, 422, "invalid_recipe", "/recipe/variants"),
    (
        {"images": [{"data": "aGk="}], "recipe": {"variants": [{"name": "a", "width": 0}]}},
        422,
        "invalid_recipe",
        "/recipe/variants/0/width",
    ),
    (
        {"images": [{"data": "aGk="}], "recipe": {"variants": [{"name": "a", "trim": 256}]}},
        422,
        "invalid_recipe",
        "/recipe/variants/0/trim",
    ),
    (
        {
            "images": [{"data": "aGk="}],
            "recipe": {"variants": [{"name": "a", "watermark": {"text": "half \ud83d"}}]},
        },
        422,
        "invalid_recipe",
        "/recipe/variants/0/watermark/text",
    ),
    ({"images": [{"data": "aGk="}] * 9}, 413, "too_many_images", ""),
    ([], 422, "invalid_request", ""),
]


@pytest.mark.parametrize(("body", "status", "code", "pointer"), BAD_JSON)
async def test_a_wrong_document_is_refused_whole(
    server: Running, body: Any, status: int, code: str, pointer: str
) -> None:
    async with server.http.post("/api/v1/jobs", json=body) as answer:
        problem = await answer.json()
        assert answer.content_type == "application/problem+json"
    assert (answer.status, problem["code"]) == (status, code)
    assert problem["type"] == f"urn:imgsvc:problem:{code}"
    assert problem["status"] == status
    assert problem["instance"] == "/api/v1/jobs"
    if pointer:
        assert problem["errors"][0]["pointer"] == pointer


async def test_preset_beside_recipe_is_refused(server: Running) -> None:
    body = {"images": [{"data": "aGk="}], "preset": "standard", "recipe": TINY}
    async with server.http.post("/api/v1/jobs", json=body) as answer:
        assert answer.status == 422
        assert (await answer.json())["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("headers", "data", "status", "code"),
    [
        ({"Content-Type": "application/json"}, b'{"images":', 400, "malformed_request"),
        ({"Content-Type": "application/xml"}, b"<a/>", 415, "unsupported_media_type"),
        ({"Content-Type": "multipart/form-data"}, b"x", 400, "malformed_request"),
        (
            {"Content-Type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nabc',
            400,
            "malformed_request",
        ),
        ({"Content-Type": "image/jpeg"}, bytes((1 << 20) + 1), 413, "payload_too_large"),
        ({"Content-Type": "application/json"}, b" " * ((4 << 20) + 1), 413, "payload_too_large"),
    ],
)
async def test_a_body_that_cannot_be_taken_is_refused_whole(
    server: Running, headers: dict[str, str], data: bytes, status: int, code: str
) -> None:
    body = io.BytesIO(data)
    async with server.http.post("/api/v1/jobs", data=body, headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (status, code)


async def test_a_form_with_too_many_images_is_refused_whole_and_leaves_nothing(
    server: Running,
) -> None:
    folder = server.core.settings.storage.data_dir / "jobs"
    before = set(folder.iterdir())
    files = [(f"{n}.jpg", make_jpeg(20, 20)) for n in range(9)]
    form = form_of(*files, spec=json.dumps({"recipe": TINY}))
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        assert (answer.status, (await answer.json())["code"]) == (413, "too_many_images")
    assert set(folder.iterdir()) == before


async def test_a_form_without_files_is_refused(server: Running) -> None:
    async with server.http.post("/api/v1/jobs", data=form_of(preset="standard")) as answer:
        assert (answer.status, (await answer.json())["code"]) == (422, "invalid_request")


async def test_an_unknown_form_field_is_refused(server: Running) -> None:
    form = form_of(("a.jpg", make_jpeg(20, 20)), colour="red")
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        problem = await answer.json()
    assert (answer.status, problem["errors"][0]["pointer"]) == (422, "/colour")


async def test_a_request_that_breaks_off_leaves_nothing_behind(server: Running) -> None:
    folder = server.core.settings.storage.data_dir / "jobs"
    before = set(folder.iterdir())
    jobs_before = await _job_ids(server)

    async def body() -> Any:
        spec = json.dumps({"recipe": TINY})
        yield f'--b\r\nContent-Disposition: form-data; name="spec"\r\n\r\n{spec}\r\n'.encode()
        for number in range(3):
            head = f'--b\r\nContent-Disposition: form-data; name="f"; filename="{number}"\r\n\r\n'
            yield head.encode() + make_jpeg(50, 50) + b"\r\n"
        raise RuntimeError("the client dies")

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    with pytest.raises((aiohttp.ClientError, RuntimeError)):
        async with server.http.post("/api/v1/jobs", data=body(), headers=headers):
            pass
    async for _ in awatch(folder, rust_timeout=100, yield_on_timeout=True):
        if set(folder.iterdir()) == before:  # the server notices in its own time
            break
    assert await _job_ids(server) == jobs_before


async def test_a_request_without_anything_has_no_image(server: Running) -> None:
    async with server.http.post("/api/v1/jobs", skip_auto_headers=["Content-Type"]) as answer:
        problem = await answer.json()
    assert (answer.status, problem["code"]) == (422, "invalid_request")


async def test_one_image_as_the_body_has_every_option_in_the_query(server: Running) -> None:
    recipe = json.dumps({"variants": [{"name": "tiny", "width": 9, "format": "png"}]})
    query = {"recipe": recipe, "retain_s": "0", "reuse": "false", "label": "x", "name": "a.jpg"}
    async with server.http.post(
        "/api/v1/jobs",
        params=query,
        data=make_jpeg(20, 20),
        headers={"Content-Type": "image/jpeg", "Prefer": "wait=30"},
    ) as answer:
        job = await answer.json()
    assert (answer.status, job["label"], job["expires_at"]) == (200, "x", None)
    assert job["recipe"]["variants"][0]["name"] == "tiny"


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"recipe": "{"}, "/recipe"),
        ({"recipe": "[]"}, "/recipe"),
        ({"retain_s": "-1"}, "/retain_s"),
        ({"retain_s": "9" * 5000}, "/retain_s"),
        ({"reuse": "maybe"}, "/reuse"),
    ],
)
async def test_a_wrong_option_in_the_query_is_pointed_at(
    server: Running, query: dict[str, str], pointer: str
) -> None:
    headers = {"Content-Type": "image/jpeg"}
    async with server.http.post(
        "/api/v1/jobs", params=query, data=make_jpeg(20, 20), headers=headers
    ) as answer:
        problem = await answer.json()
    assert (answer.status, problem["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize("recipe", [[], "standard", 3])
async def test_a_recipe_that_is_no_object_is_an_invalid_recipe(
    server: Running, recipe: object
) -> None:
    async with server.http.post("/api/v1/jobs", json={"recipe": recipe, "open": True}) as answer:
        problem = await answer.json()
    assert (answer.status, problem["code"]) == (422, "invalid_recipe")
    assert problem["errors"][0]["pointer"] == "/recipe"
