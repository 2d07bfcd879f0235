"""Cancel and retry."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from imgsvc.fetching.breakers import FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S
from imgsvc.fetching.fetches import Fetches
from tests.fetching.hosts import Gate, running_host
from tests.pictures import make_jpeg
from tests.runtime.faulty import fault, render
from tests.servers import Running, form_of, get_json, make_settings, running_server, submit

TINY = json.dumps({"recipe": {"variants": [{"name": "v", "width": 16, "format": "png"}]}})


async def _post(server: Running, path: str, body: Any = None, status: int = 200) -> Any:
    async with server.http.post(path, json=body) as answer:
        content = await answer.json()
        assert answer.status == status, content
        return content


async def _follow(server: Running, job: dict[str, Any]) -> dict[str, Any]:
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        messages = [json.loads(message.data) async for message in socket]
    last: dict[str, Any] = messages[-1]["job"]
    return last


async def test_cancel_ends_a_job_at_once_and_late_results_are_thrown_away(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    async with running_server(make_settings(tmp_path / "data"), render) as server:
        files = [("gated", fault("gate", gate)), *((f"{n}", make_jpeg(20, 20)) for n in range(20))]
        form = form_of(*files, spec=TINY)
        async with server.http.post("/api/v1/jobs", data=form) as answer:
            job = await answer.json()
        with await asyncio.to_thread(gate.open, "w"):  # open once a worker is at the gate
            cancelled = await _post(server, f"{job['links']['self']}/cancel")
            assert cancelled["status"] == "cancelled"
            assert cancelled["cancelled"] == 21
            assert await _post(server, f"{job['links']['self']}/cancel") == cancelled
        other = await submit(server, ("a.jpg", make_jpeg(20, 20)), spec=TINY)
        assert other["status"] == "completed"
        images = (await get_json(server, job["links"]["images"]))["items"]
        assert {image["status"] for image in images} == {"cancelled"}
        assert images[0]["attempts"] == 0
    out = tmp_path / "data" / "jobs" / job["id"] / "out"
    assert list(out.iterdir()) == []


def _leave_alone(server: Running, host: str) -> Fetches:
    """For minutes; it was asked last when the first pause would be over by now."""
    breakers = server.core.fetches._breakers
    for _ in range(FAILURES):
        breakers.note_failure(host)
    while breakers.note_failure(host) != LONGEST_PAUSE_S:
        breakers.move(-LONGEST_PAUSE_S * 1000)
    breakers.move(-FIRST_PAUSE_S * 1000)
    assert server.core.fetches.hosts_left_alone == 1
    return server.core.fetches


@pytest.mark.parametrize(
    ("body", "left_alone"),
    [({}, 0), ({"indexes": [1]}, 0), ({"indexes": [0]}, 1), ({"codes": ["fetch_failed"]}, 1)],
)
async def test_a_retry_has_its_own_hosts_asked_again_that_are_left_alone(
    tmp_path: Path, body: dict[str, Any], left_alone: int
) -> None:
    settings = make_settings(tmp_path / "data", fetch={"allow_private": True})
    async with running_host() as host, running_server(settings) as server:
        host.answers["/"] = Gate(b"")  # whoever asks waits: it neither fails nor answers
        other = await submit(server, ("a.jpg", b"no image"), spec=TINY)
        fetches = _leave_alone(server, host.name)
        spec = {"images": [{"url": url} for url in ("ftp://no.example/", host.url())]}
        async with server.http.post("/api/v1/jobs", json=spec) as answer:
            job = await answer.json()
        await _post(server, f"{job['links']['self']}/cancel")
        await _post(server, f"{other['links']['self']}/retry")
        assert fetches.hosts_left_alone == 1
        await _post(server, f"{job['links']['self']}/retry", body)
        assert fetches.hosts_left_alone == left_alone


async def test_a_retry_of_a_job_that_is_not_there_has_no_host_asked_again(tmp_path: Path) -> None:
    """Its images may be there still: it is being removed."""
    settings = make_settings(tmp_path / "data", fetch={"allow_private": True})
    async with running_host() as host, running_server(settings) as server:
        host.answers["/"] = Gate(b"")
        async with server.http.post(
            "/api/v1/jobs", json={"images": [{"url": host.url()}]}
        ) as answer:
            job = await answer.json()
        await _post(server, f"{job['links']['self']}/cancel")
        fetches = _leave_alone(server, host.name)
        await server.core.store.hide_job(job["id"])
        await _post(server, f"{job['links']['self']}/retry", None, 404)
        assert fetches.hosts_left_alone == 1


async def test_cancelled_images_can_be_tried_again(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    async with running_server(make_settings(tmp_path / "data"), render) as server:
        files = [("gated", fault("gate", gate)), *((f"{n}", make_jpeg(20, 20)) for n in range(5))]
        async with server.http.post("/api/v1/jobs", data=form_of(*files, spec=TINY)) as answer:
            job = await answer.json()
        with await asyncio.to_thread(gate.open, "w"):  # open once a worker is at the gate
            await _post(server, f"{job['links']['self']}/cancel")
        body = {"indexes": [1, 2, 3, 4, 5]}
        again = await _post(server, f"{job['links']['self']}/retry", body)
        assert (again["status"], again["cancelled"], again["finished_at"]) == (
            "processing",
            1,
            None,
        )
        assert (await _follow(server, job))["completed"] == 5


@pytest.fixture
async def failed_job(tmp_path: Path) -> Any:
    async with running_server(make_settings(tmp_path / "data")) as server:
        job = await submit(
            server, ("a", b"text"), ("b", make_jpeg(90, 90)[:900]), ("c", b""), spec=TINY
        )
        assert (job["status"], job["failed"]) == ("failed", 3)
        yield server, job


async def test_failed_images_are_tried_again_by_code(
    failed_job: tuple[Running, dict[str, Any]],
) -> None:
    server, job = failed_job
    retry = f"{job['links']['self']}/retry"
    again = await _post(server, retry, {"codes": ["corrupt_image"]})
    assert (again["status"], again["failed"]) == ("processing", 2)
    assert (await _follow(server, job))["status"] == "failed"
    image = await get_json(server, f"{job['links']['images']}/1")
    assert (image["attempts"], image["error"]["code"]) == (1, "corrupt_image")


async def test_nothing_changes_when_nothing_matches(
    failed_job: tuple[Running, dict[str, Any]],
) -> None:
    server, job = failed_job
    retry = f"{job['links']['self']}/retry"
    assert await _post(server, retry, {"codes": ["timeout"]}) == job
    assert await _post(server, retry, {"indexes": [99]}) == job


async def test_a_retry_of_what_failed_on_the_way_in_fails_of_the_same_again(
    tmp_path: Path,
) -> None:
    images = [
        {"data": "%%%", "name": "broken"},
        {"data": base64.b64encode(bytes(2_000)).decode(), "name": "too large"},
        {"data": "", "name": "empty"},
        {"url": "ftp://example.com/a.jpg"},
    ]
    spec = {"images": images, "recipe": json.loads(TINY)["recipe"]}
    settings = make_settings(tmp_path / "data", limits={"max_image_bytes": 1_000})
    async with running_server(settings) as server:
        job = await _post(server, "/api/v1/jobs", spec, 202)
        assert (job["status"], job["failed"]) == ("failed", 4)
        before = (await get_json(server, job["links"]["images"]))["items"]
        codes = [image["error"]["code"] for image in before]
        assert codes == ["invalid_data", "too_many_bytes", "empty_image", "fetch_blocked"]
        again = await _post(server, f"{job['links']['self']}/retry")
        assert (again["status"], again["failed"], again["errors"]) == ("processing", 0, {})
        ended = await _follow(server, job)
        assert (ended["status"], ended["failed"], ended["errors"]) == ("failed", 4, job["errors"])
        after = (await get_json(server, job["links"]["images"]))["items"]
        assert [image["error"] for image in after] == [image["error"] for image in before]
        assert {(image["attempts"], image["last_error"]) for image in after} == {(0, None)}


@pytest.mark.parametrize(
    "body", [{"codes": ["nonsense"]}, {"indexes": [-1]}, {"indexes": ["1"]}, {"all": True}, [],
             {"codes": [], "indexes": []}],
)  # fmt: skip
async def test_a_wrong_retry_is_refused(
    failed_job: tuple[Running, dict[str, Any]], body: Any
) -> None:
    server, job = failed_job
    problem = await _post(server, f"{job['links']['self']}/retry", body, 422)
    assert problem["code"] == "invalid_request"


async def test_what_failed_is_found_across_jobs_newest_first(
    failed_job: tuple[Running, dict[str, Any]],
) -> None:
    server, job = failed_job
    newer = await submit(server, ("d", b"text"), ("e", make_jpeg(20, 20)), spec=TINY)
    first = await get_json(server, "/api/v1/images?status=failed&limit=2")
    second = await get_json(
        server, f"/api/v1/images?status=failed&limit=2&cursor={first['next_cursor']}"
    )
    found = [(item["job_id"], item["name"]) for item in first["items"] + second["items"]]
    assert found == [(newer["id"], "d"), (job["id"], "c"), (job["id"], "b"), (job["id"], "a")]


@pytest.mark.parametrize("verb", ["cancel", "retry"])
async def test_an_unknown_job_is_not_found(
    failed_job: tuple[Running, dict[str, Any]], verb: str
) -> None:
    server, _ = failed_job
    await _post(server, f"/api/v1/jobs/nonsense/{verb}", None, 404)
