"""What no other test asks for: every answer here is held against the description by the session
that gets it, and a message by the test.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from imgsvc.api.openapi.document import build_document
from imgsvc.api.openapi.vocabulary import URL
from imgsvc.api.problems import problem_document
from imgsvc.config import LimitSettings
from imgsvc.domain.webhook import WebhookEvent
from imgsvc.errors import RateLimited
from imgsvc.webhooks.payloads import dump_message, images_data, job_data
from tests.descriptions import Description, Undescribed, describe
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, get_json, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY = "019aa0c5-2f6e-7c31-9a4e-6f1d0c8b7a55"
DOCUMENT = build_document(LimitSettings())
FORMS = {"/upload": "files", "/jobs": "image_data", "/api/upload": "file", "/api/v1/upload": "file"}
JSON_BODIES = sorted(
    (method, path)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if "application/json" in operation.get("requestBody", {}).get("content", {})
)
LOOKS = sorted(path for path, methods in DOCUMENT["paths"].items() if "get" in methods)


def fill(path: str, job_id: str = NOBODY) -> str:
    blanks = {"id": job_id, "delivery_id": NOBODY, "name": "nobody", "index": "0",
              "variant": "thumbnail", "key": f"{NOBODY}.thumbnail"}  # fmt: skip
    return path.format_map(blanks)


def description_of(server: Running) -> Description:
    return describe(server.core.settings.limits)


async def ask(server: Running, method: str, path: str, **options: Any) -> int:
    """The status of an answer, which is read to its end."""
    async with server.http.request(method, path, **options) as answer:
        await answer.read()
        return answer.status


@pytest.mark.parametrize(("method", "path"), JSON_BODIES)
async def test_a_document_that_is_none_is_malformed(
    server: Running, method: str, path: str
) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)), preset="thumbnail", open="false")
    headers = {"Content-Type": "application/json"}
    url = fill(path, job["id"])
    status = await ask(server, method, url, data=b'{"images": [', headers=headers)
    assert status == (409 if path.endswith("/images") else 400)


@pytest.mark.parametrize(("method", "path"), JSON_BODIES)
async def test_a_document_packed_in_an_unknown_way_is_not_taken(
    server: Running, method: str, path: str
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "br"}
    status = await ask(server, method, fill(path), data=b"{}", headers=headers)
    assert status in {404, 415}  # of a job that is not there nothing is read


@pytest.mark.parametrize("path", LOOKS)
async def test_what_is_not_there_is_not_found(server: Running, path: str) -> None:
    headers = {"Accept": "text/event-stream"}
    if path == "/api/v1/events":
        headers = {}  # it would have no end
    status = await ask(server, "GET", fill(path), headers=headers)
    assert status in ({404} if "{" in path else {200, 406})


@pytest.mark.parametrize("path", LOOKS)
async def test_what_is_asked_for_through_another_host_is_not_served(
    server: Running, path: str
) -> None:
    assert await ask(server, "GET", fill(path), headers={"Host": "elsewhere.example"}) == 421


@pytest.mark.parametrize("path", [*LOOKS, "/nowhere"])
async def test_an_expectation_that_is_none_is_malformed(server: Running, path: str) -> None:
    assert await ask(server, "GET", fill(path), headers={"Expect": "magic"}) == 400


@pytest.mark.parametrize("path", [path for path in LOOKS if "{" not in path])
async def test_an_unknown_parameter_is_refused_but_where_it_is_said_to_be_taken(
    server: Running, path: str
) -> None:
    taken = re.findall(r"`(/\w*)`", DOCUMENT["info"]["description"])
    status = await ask(server, "GET", f"{path}?surprise=1")
    assert (status, path in taken) in {(422, False), (200, True)}


async def test_one_connection_too_many_is_described(server: Running) -> None:
    description = description_of(server)
    problem = problem_document(RateLimited("Too many connections are open."), "/livez")
    body = json.dumps(problem).encode()
    for path in map(fill, LOOKS):
        description.check_body("GET", path, 429, "application/problem+json", body)


@pytest.mark.parametrize("path", LOOKS)
async def test_head_is_answered_as_get_is(server: Running, path: str) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)), preset="thumbnail")
    url = fill(path, job["id"])
    headers = {"Accept": "text/event-stream"}
    status = await ask(server, "HEAD", url, headers=headers)
    assert status in {200, 404, 406}


@pytest.mark.parametrize("path", sorted(DOCUMENT["paths"]))
async def test_a_method_that_does_not_apply_names_those_that_do(server: Running, path: str) -> None:
    async with server.http.request("TRACE", fill(path)) as answer:
        assert answer.status == 405
        allowed = {name.strip().lower() for name in answer.headers["Allow"].split(",")}
    assert allowed - {"head"} == set(DOCUMENT["paths"][path])


@pytest.mark.parametrize("path", sorted(FORMS))
async def test_a_form_that_breaks_off_is_malformed(server: Running, path: str) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert await ask(server, "POST", path, data=b"--x\r\n", headers=headers) == 400
    assert await ask(server, "POST", path, data=b"", headers={"Content-Type": "text/plain"}) == 415


async def test_a_job_is_described_in_every_state(server: Running) -> None:
    async with server.http.post("/api/v1/jobs", json={"open": True, "label": "open"}) as answer:
        job = await answer.json()
    bad = [("a.jpg", make_jpeg(30, 20)), ("b.jpg", b"no picture"), ("c.jpg", b"")]
    assert await ask(server, "POST", job["links"]["images"], data=form_of(*bad)) == 202
    assert await ask(server, "POST", f"{job['links']['self']}/close") == 200
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        async for _ in socket:
            pass
    for state in ("completed", "failed", "pending"):
        await get_json(server, f"{job['links']['images']}?status={state}")
    done = await get_json(server, job["links"]["self"])
    assert (done["status"], done["errors"]["empty_image"]) == ("partial", 1)
    assert await ask(server, "POST", f"{job['links']['self']}/retry", json={"indexes": [1]}) == 200
    for path in LOOKS:
        if path != "/api/v1/events":
            events = {"Accept": "text/event-stream"}
            await ask(server, "GET", fill(path, job["id"]), headers=events)


async def test_every_message_is_described(server: Running) -> None:
    description = description_of(server)
    seen: set[str] = set()
    async with server.http.post("/api/v1/jobs", json={"open": True}) as answer:
        job = await answer.json()
    async with (
        server.http.ws_connect("/api/v1/events") as all_jobs,
        server.http.ws_connect(job["links"]["events"]) as one_job,
        server.http.ws_connect(f"/api/v1/batch/{job['id']}/ws") as batch,
    ):
        await all_jobs.receive()
        files = [("a.jpg", make_jpeg(30, 20)), ("b.jpg", b"no picture")]
        assert await ask(server, "POST", job["links"]["images"], data=form_of(*files)) == 202
        assert await ask(server, "POST", f"{job['links']['self']}/close") == 200
        for socket, schema in ((one_job, "JobEvent"), (batch, "BatchMessage")):
            async for message in socket:
                document = message.json()
                description.check({"$ref": f"#/components/schemas/{schema}"}, document)
                seen.add(document["type"])
        change = await all_jobs.receive_json()
        description.check({"$ref": "#/components/schemas/ServerEvent"}, change)
    assert seen >= {
        "snapshot", "image", "end", "progress", "image_completed", "image_failed", "job_complete"
    }  # fmt: skip


async def test_the_first_message_of_all_jobs_is_described(server: Running) -> None:
    await submit(server, ("a.jpg", make_jpeg(20, 20)), preset="thumbnail")
    async with server.http.ws_connect("/api/v1/events") as socket:
        snapshot = await socket.receive_json()
    description = description_of(server)
    description.check({"$ref": "#/components/schemas/ServerEvent"}, snapshot)


async def test_a_websocket_that_is_none_is_refused(server: Running) -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)), preset="thumbnail")
    for path in ("/api/v1/events", job["links"]["events"], f"/api/v1/batch/{job['id']}/ws"):
        assert await ask(server, "GET", path, headers=headers) == 400


async def test_files_are_described(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(30, 20)), preset="thumbnail")
    image = await get_json(server, f"{job['links']['images']}/0")
    await ask(server, "PUT", "/api/v1/watermarks/logo", data=make_jpeg(9, 9))
    for path in (
        image["outputs"][0]["url"],
        f"/image/{image['id']}.thumbnail",
        f"/jobs/{job['id']}/download",
        f"/jobs/{job['id']}/input",
        "/api/v1/watermarks/logo/image",
    ):
        async with server.http.get(path) as answer:
            etag = answer.headers["ETag"]
        statuses = {
            206: {"Range": "bytes=0-3"},
            304: {"If-None-Match": etag},
            412: {"If-Match": '"other"'},
            416: {"Range": "bytes=999999-"},
        }
        for status, headers in statuses.items():
            assert await ask(server, "GET", path, headers=headers) == status


async def test_a_whole_backup_is_described(server: Running) -> None:
    assert await ask(server, "POST", "/api/v1/backup") == 200
    assert await ask(server, "POST", "/api/v1/backup?all=1") == 422


async def test_what_is_not_described_is_found_out(server: Running) -> None:
    description = description_of(server)
    with pytest.raises(Undescribed, match="answers 418"):
        description.answer("GET", "/livez", 418)
    with pytest.raises(Undescribed, match="described nowhere"):
        description.answer("GET", "/nowhere", 200)
    with pytest.raises(Undescribed, match="gives no X-Request-ID"):
        description.check_head("GET", "/livez", 200, {"Content-Type": "application/json"})
    problem = {"Content-Type": "application/problem+json", "X-Request-ID": "1"}
    description.check_head("GET", "/readyz", 429, {**problem, "Retry-After": "10"})
    with pytest.raises(Undescribed, match='"soon" is not of type "integer"'):
        description.check_head("GET", "/readyz", 429, {**problem, "Retry-After": "soon"})
    more = b'{"status": "ok", "more": 1}'
    with pytest.raises(Undescribed, match=r"GET /livez answers 200 with .*'more' was unexpected"):
        description.check_body("GET", "/livez", 200, "application/json", more)
    with pytest.raises(Undescribed, match='is not a "uri"'):
        description.check(URL, "https://images.example/a b")


async def test_messages_to_webhooks_are_described(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(30, 20)), preset="thumbnail")
    image = await get_json(server, f"{job['links']['images']}/0")
    kept = await server.core.store.job(job["id"])
    messages = {
        WebhookEvent.JOB_FINISHED: job_data(job, "https://images.example"),
        WebhookEvent.IMAGE_FINISHED: images_data(kept, [image], "https://images.example"),
    }
    for event, data in messages.items():
        hook = DOCUMENT["webhooks"][event.value]["post"]["requestBody"]["content"]
        message = json.loads(dump_message(event, 1_763_632_800_123, data))
        description_of(server).check(hook["application/json"]["schema"], message)
