"""Webhooks over HTTP: what a job may ask for, and what became of its messages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from standardwebhooks.webhooks import Webhook as Verifier

from imgsvc.domain.ids import new_id
from tests.pictures import make_jpeg
from tests.receivers import OTHER_SECRET, SECRET, Receiver, open_receiver
from tests.servers import Running, form_of, get_json, make_settings, running_server, submit

pytestmark = pytest.mark.asyncio(loop_scope="module")

PICTURE = ("a.jpg", make_jpeg(20, 20))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    webhooks = {"allow_private": True, "secrets": [SECRET]}
    settings = make_settings(tmp_path_factory.mktemp("data"), webhooks=webhooks)
    async with running_server(settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as running:
        yield running


async def submit_to(server: Running, webhook: dict[str, Any], **more: Any) -> dict[str, Any]:
    return await submit(server, PICTURE, spec=json.dumps({"webhook": webhook, **more}))


async def settled(server: Running, job: dict[str, Any], status: str) -> dict[str, Any]:
    """The job's only delivery, once it has that status: nothing tells of it."""
    while True:
        (delivery,) = (await get_json(server, f"{job['links']['self']}/deliveries"))["items"]
        if delivery["status"] == status:
            found: dict[str, Any] = delivery
            return found


async def test_the_end_of_a_job_is_told_signed_and_with_links_to_the_host_that_was_asked(
    server: Running, receiver: Receiver
) -> None:
    job = await submit_to(server, {"url": f"{receiver.url}/hook"})
    (message,) = await receiver.wait_for(1)
    told = Verifier(SECRET).verify(message.body, message.headers)
    assert (told["type"], told["timestamp"]) == ("job.finished", job["finished_at"])
    links = {name: server.url + path for name, path in job["links"].items()}
    assert told["data"]["job"] == {**job, "links": links}
    delivery = await settled(server, job, "delivered")
    assert delivery == {
        "id": message.id, "job_id": job["id"], "event": "job.finished",
        "receiver": receiver.url.removeprefix("http://"), "status": "delivered", "attempts": 1,
        "next_attempt_at": None, "last_status": 204, "last_error": None,
        "created_at": job["finished_at"], "delivered_at": delivery["delivered_at"],
    }  # fmt: skip


async def test_a_job_may_ask_for_its_images_and_bring_its_own_secret(
    server: Running, receiver: Receiver
) -> None:
    events = ["image.finished", "job.finished"]
    webhook = {"url": receiver.url, "events": events, "secret": OTHER_SECRET}
    job = await submit_to(server, webhook)
    messages = await receiver.wait_for(2)
    assert sorted(message.type for message in messages) == events
    for message in messages:
        Verifier(OTHER_SECRET).verify(message.body, message.headers)
    (image,) = next(m for m in messages if m.type == events[0]).document["data"]["images"]
    async with server.http.get(image["outputs"][0]["url"]) as answer:
        assert answer.status == 200
    shown = json.dumps([job, await get_json(server, f"{job['links']['self']}/deliveries")])
    assert OTHER_SECRET not in shown
    assert "webhook" not in job


async def test_a_form_and_a_plain_body_name_the_receiver_too(
    server: Running, receiver: Receiver
) -> None:
    await submit(server, PICTURE, webhook_url=f"{receiver.url}/form")
    async with server.http.post(
        "/api/v1/jobs",
        params={"webhook_url": f"{receiver.url}/query"},
        data=PICTURE[1],
        headers={"Content-Type": "image/jpeg"},
    ) as answer:
        assert answer.status == 202
    messages = await receiver.wait_for(2)
    assert {message.path for message in messages} == {"/form", "/query"}


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "ftp://example.org/", "file:///etc/passwd", "javascript:alert(1)",
        "//example.org/", "http://", "http:///hook", "http:hook", "https://user@example.org/",
        "https://user:word@example.org/", "https://@example.org/", "https://example.org:x/",
        "https://example.org:0/", "https://example.org:70000/", "https://[::1/",
        "https://example.org/a b", "https://example.org/\n", "https://exa\x00mple.org/",
        "https://example.org/" + "a" * 2048,
    ],
)  # fmt: skip
async def test_a_url_that_cannot_be_a_receivers_is_refused_at_once(
    server: Running, url: str
) -> None:
    spec = json.dumps({"webhook": {"url": url}})
    async with server.http.post("/api/v1/jobs", data=form_of(PICTURE, spec=spec)) as answer:
        problem = await answer.json()
    assert (answer.status, problem["code"]) == (422, "invalid_request")
    assert [fault["pointer"] for fault in problem["errors"]] == ["/webhook/url"]


@pytest.mark.parametrize(
    ("webhook", "pointer"),
    [
        ({"url": "https://x", "events": ["job.started"]}, "/webhook/events/0"),
        ({"url": "https://x", "events": []}, "/webhook/events"),
        ({"url": "https://x", "secret": "hunter2"}, "/webhook/secret"),
        ({"url": "https://x", "secret": SECRET[:-1]}, "/webhook/secret"),
        ({"url": "https://x", "method": "GET"}, "/webhook/method"),
        ("https://x", "/webhook"),
    ],
)
async def test_a_wrong_webhook_is_pointed_at_and_not_repeated(
    server: Running, webhook: Any, pointer: str
) -> None:
    spec = json.dumps({"webhook": webhook})
    async with server.http.post("/api/v1/jobs", data=form_of(PICTURE, spec=spec)) as answer:
        text = await answer.text()
    assert answer.status == 422
    assert [fault["pointer"] for fault in json.loads(text)["errors"]] == [pointer]
    assert "hunter2" not in text


async def test_a_message_is_sent_again_when_that_is_asked_for(
    server: Running, receiver: Receiver
) -> None:
    receiver.will(410)
    job = await submit_to(server, {"url": receiver.url})
    delivery = await settled(server, job, "disabled")
    assert (delivery["last_status"], delivery["last_error"]) == (410, "gone")
    path = f"{job['links']['self']}/deliveries/{delivery['id']}/redeliver"
    async with server.http.post(path) as answer:
        again = await answer.json()
    assert (answer.status, again["status"], again["attempts"]) == (202, "pending", 0)
    first, second = await receiver.wait_for(2)
    assert (first.id, first.body) == (second.id, second.body)
    await settled(server, job, "delivered")


async def test_what_does_not_exist_is_not_found(server: Running, receiver: Receiver) -> None:
    job, other = [await submit_to(server, {"url": receiver.url}) for _ in range(2)]
    delivery = await settled(server, job, "delivered")
    await get_json(server, f"/api/v1/jobs/{new_id()}/deliveries", 404)
    for job_id, delivery_id in ((job["id"], new_id()), (other["id"], delivery["id"])):
        path = f"/api/v1/jobs/{job_id}/deliveries/{delivery_id}/redeliver"
        async with server.http.post(path) as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, "not_found")


async def test_messages_come_page_by_page_and_none_without_a_webhook(
    server: Running, receiver: Receiver
) -> None:
    job = await submit_to(server, {"url": receiver.url, "events": ["job.finished"]})
    await settled(server, job, "delivered")
    store = server.core.store
    for _ in range(2):
        await store.announce_images(job["id"], (2**53, 0), "{}", 1)
    path = f"{job['links']['self']}/deliveries"
    first = await get_json(server, f"{path}?limit=2")
    rest = await get_json(server, f"{path}?limit=2&cursor={first['next_cursor']}")
    ids = [item["id"] for item in first["items"] + rest["items"]]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), rest["next_cursor"]) == (3, None)
    silent = await submit(server, PICTURE)
    empty = await get_json(server, f"{silent['links']['self']}/deliveries")
    assert empty == {"items": [], "next_cursor": None}
    for query in ("limit=0", "limit=501", "cursor=x", "status=failed"):
        await get_json(server, f"{path}?{query}", 422)
