"""What a request asks for in vain is refused, and not passed over."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.pictures import make_jpeg
from tests.servers import Running, form_of, get_json, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = json.dumps({"images": [{"url": "https://a.example/a.jpg"}]}).encode()
LIST = b"S. No.,Product Name,Input Image Urls\n1,Shoe,https://a.example/a.jpg\n"


async def refused(server: Running, method: str, path: str, **options: Any) -> list[str]:
    """The places that are wrong."""
    async with server.http.request(method, path, **options) as answer:
        problem = await answer.json()
        assert (answer.status, problem["code"]) == (422, "invalid_request"), problem
        return [error["pointer"] for error in problem.get("errors", [])]


@pytest.mark.parametrize(
    "path", ["/api/v1/jobs", "/upload", "/api/upload", "/jobs", "/api/v1/upload"]
)
async def test_a_form_takes_nothing_from_the_query(server: Running, path: str) -> None:
    form = form_of(("a.jpg", make_jpeg(20, 20)))
    found = await refused(server, "POST", f"{path}?preset=thumbnail", data=form)
    assert found == ["/preset"]


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/batch", "/jobs"])
async def test_a_document_takes_nothing_from_the_query(server: Running, path: str) -> None:
    headers = {"Content-Type": "application/json"}
    found = await refused(server, "POST", f"{path}?preset=web", data=JSON, headers=headers)
    assert found == ["/preset"]


@pytest.mark.parametrize(("kind", "body"), [("image/jpeg", b"\xff"), ("text/csv", LIST)])
async def test_where_the_query_says_it_all_it_says_nothing_twice(
    server: Running, kind: str, body: bytes
) -> None:
    path = "/api/v1/jobs?preset=web&preset=thumbnail&bogus=1"
    found = await refused(server, "POST", path, data=body, headers={"Content-Type": kind})
    assert found == ["/bogus", "/preset"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/close"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("GET", "/events"),
        ("GET", "/report.csv"),
        ("GET", "/images/0"),
        ("GET", "/images/0/outputs/thumbnail"),
    ],
)
async def test_a_job_has_no_parameters(server: Running, method: str, path: str) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)), preset="thumbnail")
    found = await refused(server, method, f"{job['links']['self']}{path}?indexes=0")
    assert found == ["/indexes"]
    assert await get_json(server, job["links"]["self"]) == job


@pytest.mark.parametrize("path", ["cancel", "close"])
async def test_who_means_some_images_does_not_get_all_of_them(server: Running, path: str) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)), preset="thumbnail")
    url = f"{job['links']['self']}/{path}"
    await refused(server, "POST", url, json={"indexes": [0]})
    async with server.http.post(f"{job['links']['self']}/cancel", json={}) as answer:
        assert (answer.status, await answer.json()) == (200, job)


@pytest.mark.parametrize(
    "path", ["/api/v1/info", "/api/v1/watermarks/logo/image", "/openapi.json", "/docs"]
)
async def test_what_is_looked_up_takes_nothing_from_the_query(server: Running, path: str) -> None:
    assert await refused(server, "GET", f"{path}?inline=1") == ["/inline"]


async def test_a_body_without_a_byte_is_none(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)), preset="thumbnail")

    async def nothing() -> AsyncIterator[bytes]:
        for _ in ():
            yield b""

    for path in ("cancel", "close", "retry"):
        url = f"{job['links']['self']}/{path}"
        async with server.http.post(url, data=nothing()) as answer:
            assert (answer.status, await answer.json()) == (200, job)


async def test_inline_is_1_or_0(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)), preset="thumbnail")
    file = f"{job['links']['images']}/0/outputs/thumbnail"
    assert await refused(server, "GET", f"{file}?inline=true") == ["/inline"]
    for value, kind in {"1": "inline", "0": "attachment"}.items():
        async with server.http.get(f"{file}?inline={value}") as answer:
            assert answer.headers["Content-Disposition"].startswith(kind)
    render = "/api/v1/render?preset=thumbnail&inline=yes"
    headers = {"Content-Type": "image/jpeg"}
    body = b"no image"  # it is not even looked at
    assert await refused(server, "POST", render, data=body, headers=headers) == ["/inline"]


@pytest.mark.parametrize(
    "path",
    [
        "/batch/{id}",
        "/batch/{id}/images",
        "/status/{id}",
        "/image/{image_id}.thumbnail",
        "/api/v1/batch",
        "/api/v1/batch/{id}",
        "/api/v1/batch/{id}/ws",
        "/api/status/{id}",
        "/api/download/{id}",
        "/jobs/{id}",
        "/jobs/{id}/input",
        "/jobs/{id}/download",
        "/api/v1/info",
    ],
)
async def test_nor_are_there_any_in_the_dialects(server: Running, path: str) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)), preset="thumbnail")
    image = await get_json(server, f"{job['links']['images']}/0")
    url = path.format(id=job["id"], image_id=image["id"])
    assert await refused(server, "GET", f"{url}?status=failed") == ["/status"]


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("PATCH", "/api/v1/workers", {"size": 1}),
        ("PUT", "/api/v1/presets/mine", {"variants": [{"name": "a"}]}),
        ("POST", "/api/v1/jobs/{id}/retry", {"indexes": [0]}),
        ("POST", "/api/v1/jobs/{id}/cancel", {}),
    ],
)
async def test_where_only_json_can_be_meant_its_type_need_not_be_said(
    server: Running, method: str, path: str, document: dict[str, Any]
) -> None:
    """Programs that send forms by default often forget to say it."""
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)), preset="thumbnail")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    url, body = path.replace("{id}", job["id"]), json.dumps(document)
    async with server.http.request(method, url, data=body, headers=headers) as answer:
        assert answer.status in {200, 201}
