"""Jobs that stay open: append and close."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from imgsvc.domain.times import now_ms
from imgsvc.upkeep.idle import IdleJobs
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, get_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPEC = {"recipe": {"variants": [{"name": "v", "width": 16, "format": "png"}]}, "open": True}


async def _open(server: Running, *files: tuple[str, bytes]) -> dict[str, Any]:
    form = form_of(*files, spec=json.dumps(SPEC))
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job: dict[str, Any] = await answer.json()
        assert answer.status == 202, job
        return job


async def _append(server: Running, job: dict[str, Any], status: int = 202, **request: Any) -> Any:
    async with server.http.post(job["links"]["images"], **request) as answer:
        content = await answer.json()
        assert answer.status == status, content
        return content


async def _close(server: Running, job: dict[str, Any]) -> dict[str, Any]:
    async with server.http.post(f"{job['links']['self']}/close") as answer:
        assert answer.status == 200
        closed: dict[str, Any] = await answer.json()
        return closed


async def _end(server: Running, job: dict[str, Any]) -> dict[str, Any]:
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        messages = [json.loads(message.data) async for message in socket]
    last: dict[str, Any] = messages[-1]["job"]
    return last


async def test_images_come_in_all_three_forms_and_are_numbered_on(server: Running) -> None:
    job = await _open(server, ("0.jpg", make_jpeg(20, 20)))
    assert (job["open"], job["total"]) == (True, 1)
    picture = make_jpeg(30, 20)
    form = form_of(("1.jpg", picture), ("2.jpg", picture))
    assert await _append(server, job, data=form) == {
        "accepted": [{"index": 1, "name": "1.jpg"}, {"index": 2, "name": "2.jpg"}]
    }
    body = {"images": [{"data": base64.b64encode(picture).decode()}]}
    assert (await _append(server, job, json=body))["accepted"] == [{"index": 3, "name": "image-3"}]
    async with server.http.post(
        f"{job['links']['images']}?name=4.jpg", data=picture, headers={"Content-Type": "image/jpeg"}
    ) as answer:
        assert (await answer.json())["accepted"] == [{"index": 4, "name": "4.jpg"}]
    closed = await _close(server, job)
    assert (closed["open"], closed["total"]) == (False, 5)
    assert (await _end(server, job))["completed"] == 5


async def test_work_begins_with_the_first_image_and_ends_only_after_the_close(
    server: Running,
) -> None:
    job = await _open(server)
    assert (job["total"], job["status"]) == (0, "pending")
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        await _append(server, job, data=form_of(("a.jpg", make_jpeg(20, 20))))
        async for message in socket:
            if json.loads(message.data)["job"]["completed"] == 1:
                break
        assert (await get_json(server, job["links"]["self"]))["status"] == "processing"
        await _close(server, job)
        last = [json.loads(message.data) async for message in socket][-1]
    assert (last["type"], last["job"]["status"]) == ("end", "completed")


async def test_closing_is_idempotent_and_an_empty_job_is_completed(server: Running) -> None:
    job = await _open(server)
    first = await _close(server, job)
    assert (first["status"], first["progress"]) == ("completed", 100.0)
    assert await _close(server, job) == first


async def test_what_an_open_job_has_got_stands_in_the_log_when_it_closes(server: Running) -> None:
    pictures = [make_jpeg(20 + n, 20) for n in range(3)]
    names = ("event", "images", "bytes", "open", "idle_s")
    with capture_logs() as logs:
        jobs = [await _open(server) for _ in range(2)]
        for job in jobs:
            for picture in pictures:
                await _append(server, job, data=form_of(("a.jpg", picture)))
        for _ in range(2):
            await _close(server, jobs[0])
        await IdleJobs(server.core.store, idle_s=60).run_once(now_ms() + 61_000)
    for job, reason in zip(jobs, ({}, {"idle_s": 60}), strict=True):
        told = [log for log in logs if log.get("job_id") == job["id"]]
        facts = [{name: log[name] for name in names if name in log} for log in told]
        submitted = {"event": "job_submitted", "images": 0, "bytes": 0, "open": True}
        size_bytes = sum(map(len, pictures))
        closed = {"event": "job_closed", "images": 3, "bytes": size_bytes, **reason}
        assert [fact for fact in facts if fact["event"] != "job_finished"] == [submitted, closed]


async def test_a_closed_job_takes_no_more(server: Running) -> None:
    job = await _open(server)
    await _close(server, job)
    problem = await _append(server, job, 409, data=form_of(("a.jpg", make_jpeg(20, 20))))
    assert problem["code"] == "job_closed"


async def test_a_cancelled_job_takes_no_more(server: Running) -> None:
    job = await _open(server, ("a.jpg", make_jpeg(20, 20)))
    async with server.http.post(f"{job['links']['self']}/cancel") as answer:
        assert not (await answer.json())["open"]
    problem = await _append(server, job, 409, data=form_of(("a.jpg", make_jpeg(20, 20))))
    assert problem["code"] == "job_closed"


async def test_an_append_brings_images_and_nothing_else(server: Running) -> None:
    job = await _open(server)
    form = form_of(("a.jpg", make_jpeg(20, 20)), preset="standard")
    problem = await _append(server, job, 422, data=form)
    assert problem["errors"][0]["pointer"] == "/preset"
    assert (await _append(server, job, 422, json={"images": []}))["code"] == "invalid_request"
    inputs = server.core.settings.storage.data_dir / "jobs" / job["id"] / "in"
    assert list(inputs.iterdir()) == []


async def test_appends_at_once_never_overrun_the_limit(server: Running) -> None:
    job = await _open(server)

    async def append(count: int) -> int:
        files = [(f"{n}.jpg", make_jpeg(20, 20)) for n in range(count)]
        async with server.http.post(job["links"]["images"], data=form_of(*files)) as answer:
            return answer.status

    statuses = await asyncio.gather(*(append(3) for _ in range(4)))
    assert sorted(statuses) == [202, 202, 413, 413]
    assert (await get_json(server, job["links"]["self"]))["total"] == 6


async def test_an_open_job_closes_by_itself_when_nothing_comes(server: Running) -> None:
    job = await _open(server, ("a.jpg", make_jpeg(20, 20)))
    idle = IdleJobs(server.core.store, idle_s=60)
    await idle.run_once(now_ms() + 50_000)
    assert (await get_json(server, job["links"]["self"]))["open"]
    await idle.run_once(now_ms() + 61_000)
    assert not (await get_json(server, job["links"]["self"]))["open"]
    assert (await _end(server, job))["status"] == "completed"
