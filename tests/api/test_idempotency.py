"""Idempotency-Key: the same request again is not carried out again."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from imgsvc.domain.ids import new_id
from imgsvc.domain.times import now_ms
from imgsvc.errors import ImgsvcError, ShuttingDown, StorageFull
from imgsvc.service.submit import Submission
from imgsvc.upkeep.keys import ExpiredKeys
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, get_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY_MS = 86_400_000
PICTURE = make_jpeg(20, 20)
RECIPE = {"variants": [{"name": "v", "width": 8}]}


async def _post(
    server: Running, key: str, path: str = "/api/v1/jobs", **request: Any
) -> tuple[int, Any, Any]:
    headers = {"Idempotency-Key": key, **request.pop("headers", {})}
    async with server.http.post(path, headers=headers, **request) as answer:
        return answer.status, answer.headers, await answer.json()


def _form(*names: str, label: str = "a", picture: bytes = PICTURE) -> aiohttp.FormData:
    return form_of(*[(name, picture) for name in names], label=label)


async def _count_jobs(server: Running) -> int:
    return len((await get_json(server, "/api/v1/jobs?limit=500"))["items"])


def _folders(server: Running) -> set[str]:
    return {path.name for path in (server.core.settings.storage.data_dir / "jobs").iterdir()}


async def test_a_repeated_form_gets_the_first_answer_whatever_its_boundary(
    server: Running,
) -> None:
    key = new_id()
    status, headers, job = await _post(server, key, data=_form("a.jpg", "b.jpg"))
    assert status == 202
    assert "Idempotency-Replayed" not in headers
    jobs, folders = await _count_jobs(server), _folders(server)
    status, headers, again = await _post(server, key, data=_form("a.jpg", "b.jpg"))
    assert (status, again) == (202, job)
    assert headers["Idempotency-Replayed"] == "true"
    assert headers["Location"] == job["links"]["self"]
    assert (await _count_jobs(server), _folders(server)) == (jobs, folders)


async def test_json_is_compared_after_decoding(server: Running) -> None:
    key = new_id()
    data = base64.b64encode(PICTURE).decode()
    document = {"images": [{"data": data, "name": "a.jpg"}], "recipe": RECIPE}
    headers = {"Content-Type": "application/json"}
    _, _, job = await _post(server, key, data=json.dumps(document), headers=headers)
    document["images"] = [{"name": "a.jpg", "data": f"data:image/jpeg;base64,{data}"}]
    body = json.dumps(dict(reversed(document.items())), indent=3)
    status, _, again = await _post(server, key, data=body, headers=headers)
    assert (status, again) == (202, job)


async def test_an_answer_that_was_waited_for_is_replayed_as_it_was(server: Running) -> None:
    key = new_id()
    request: dict[str, Any] = {
        "data": PICTURE,
        "headers": {"Content-Type": "image/jpeg", "Prefer": "wait=50"},
    }
    status, _, job = await _post(server, key, "/api/v1/jobs?name=a.jpg", **request)
    assert (status, job["status"]) == (200, "completed")
    async with server.http.delete(job["links"]["self"]) as answer:
        assert answer.status == 204
    request["headers"] = {"Content-Type": "image/jpeg"}
    status, headers, again = await _post(server, key, "/api/v1/jobs?name=a.jpg", **request)
    assert (status, again) == (200, job)
    assert headers["Preference-Applied"] == "wait=50"


@pytest.mark.parametrize(
    "other",
    [
        lambda: _form("a.jpg", "c.jpg"),
        lambda: _form("a.jpg"),
        lambda: _form("b.jpg", "a.jpg"),
        lambda: _form("a.jpg", "b.jpg", label="b"),
        lambda: _form("a.jpg", "b.jpg", picture=make_jpeg(20, 21)),
        lambda: _form("a.jpg", "b.jpg", "c.jpg"),
    ],
    ids=["name", "fewer", "order", "field", "bytes", "more"],
)
async def test_another_payload_under_the_same_key_is_refused(server: Running, other: Any) -> None:
    key = new_id()
    await _post(server, key, data=_form("a.jpg", "b.jpg"))
    folders = _folders(server)
    status, _, problem = await _post(server, key, data=other())
    assert (status, problem["code"]) == (422, "idempotency_mismatch")
    assert _folders(server) == folders


async def test_a_key_is_taken_while_its_first_request_runs(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, begun, tried = new_id(), asyncio.Event(), asyncio.Event()
    begin = server.core.submitter.begin

    async def tell_begin(source: str, base_url: str) -> Submission:
        begun.set()
        return await begin(source, base_url)

    async def slow_body() -> AsyncIterator[bytes]:
        yield PICTURE[:100]
        await tried.wait()
        yield PICTURE[100:]

    monkeypatch.setattr(server.core.submitter, "begin", tell_begin)
    headers = {"Content-Type": "image/jpeg"}
    first = asyncio.create_task(_post(server, key, data=slow_body(), headers=headers))
    await begun.wait()
    status, _, problem = await _post(server, key, data=PICTURE, headers=headers)
    assert (status, problem["code"]) == (409, "idempotency_in_progress")
    tried.set()
    assert (await first)[0] == 202


async def test_a_refused_request_does_not_use_up_its_key(server: Running) -> None:
    key = new_id()
    status, _, _ = await _post(server, key, data=form_of(("a.jpg", PICTURE), preset="nonsense"))
    assert status == 422
    status, headers, _ = await _post(server, key, data=_form("a.jpg"))
    assert status == 202
    assert "Idempotency-Replayed" not in headers


async def test_an_append_with_a_key_appends_once(server: Running) -> None:
    _, _, job = await _post(server, new_id(), json={"open": True})
    key, path = new_id(), job["links"]["images"]
    first = await _post(server, key, path, data=form_of(("a.jpg", PICTURE)))
    again = await _post(server, key, path, data=form_of(("a.jpg", PICTURE)))
    assert first[0] == again[0] == 202
    assert first[2] == again[2] == {"accepted": [{"index": 0, "name": "a.jpg"}]}
    assert (await get_json(server, job["links"]["self"]))["total"] == 1


@pytest.mark.parametrize("trouble", [StorageFull("full"), ShuttingDown("stopping")], ids=str)
async def test_a_committed_request_is_answered_now_and_later_although_its_answer_cannot_be_kept(
    server: Running, monkeypatch: pytest.MonkeyPatch, trouble: ImgsvcError
) -> None:
    async def refuse(_key: str, _answer: object) -> None:
        raise trouble

    submit_key, append_key = new_id(), new_id()
    jobs = await _count_jobs(server)
    with monkeypatch.context() as patch:
        patch.setattr(server.core.store, "record_answer", refuse)
        status, _, _ = await _post(server, submit_key, json={"open": True})
        assert status == 202
    status, headers, job = await _post(server, submit_key, json={"open": True})
    assert (status, headers["Location"]) == (202, job["links"]["self"])
    assert await _count_jobs(server) == jobs + 1
    with monkeypatch.context() as patch:
        patch.setattr(server.core.store, "record_answer", refuse)
        files = form_of(("a.jpg", PICTURE))
        status, _, _ = await _post(server, append_key, job["links"]["images"], data=files)
        assert status == 202
    files = form_of(("a.jpg", PICTURE))
    _, _, accepted = await _post(server, append_key, job["links"]["images"], data=files)
    assert accepted == {"accepted": [{"index": 0, "name": "a.jpg"}]}
    assert (await get_json(server, job["links"]["self"]))["total"] == 1


async def test_a_key_is_forgotten_after_a_day(server: Running) -> None:
    key = new_id()
    _, _, job = await _post(server, key, data=_form("a.jpg"))
    expired = ExpiredKeys(server.core.store)
    while await expired.run_once(now_ms()):
        pass
    assert await server.core.store.key(key, now_ms()) is not None
    assert await server.core.store.key(key, now_ms() + DAY_MS) is None
    while await expired.run_once(now_ms() + DAY_MS):
        pass
    _, headers, again = await _post(server, key, data=_form("a.jpg"))
    assert "Idempotency-Replayed" not in headers
    assert again["id"] != job["id"]


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "naïve"])
async def test_a_key_is_visible_ascii_of_at_most_255_characters(server: Running, key: str) -> None:
    status, _, problem = await _post(server, key, data=_form("a.jpg"))
    assert (status, problem["code"]) == (400, "malformed_request")
