"""A worker that dies, hangs or eats memory costs exactly its own image."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from imgsvc.domain.retries import MAX_INNOCENT, MAX_INTERRUPTIONS
from imgsvc.domain.times import now_ms
from imgsvc.store.store import Store
from tests.pictures import make_jpeg
from tests.runtime import faulty
from tests.runtime.faulty import fault
from tests.servers import Running, form_of, get_json, make_settings, running_server, submit
from tests.store.builders import claim, create, key

SPEC = json.dumps({"recipe": {"variants": [{"name": "only", "width": 20, "format": "png"}]}})


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    workers = {"size": 2, "timeout_s": 4.0, "memory_bytes": 512 << 20}
    settings = make_settings(tmp_path / "data", workers=workers)
    async with running_server(settings, faulty.render) as running:
        yield running


async def _submit_among_good_ones(server: Running, *bad: bytes) -> list[dict[str, Any]]:
    """Images of a job with `bad` ones in the middle of twenty good ones, who never pay. None is
    made for another one's sake.
    """
    good = [(f"{n}.jpg", make_jpeg(60, 40 + n)) for n in range(20)]
    files = [*good[:10], *((f"bad-{n}", content) for n, content in enumerate(bad)), *good[10:]]
    job = await submit(server, *files, spec=SPEC)
    images: list[dict[str, Any]] = (await get_json(server, job["links"]["images"]))["items"]
    neighbours = [image for image in images if not image["name"].startswith("bad")]
    assert [(i["status"], i["attempts"]) for i in neighbours] == [("completed", 1)] * 20
    return [image for image in images if image["name"].startswith("bad")]


@pytest.mark.parametrize("deed", ["crash", "abort", "leave", "kill-itself"])
async def test_an_image_that_crashes_its_worker_is_tried_twice(server: Running, deed: str) -> None:
    (image,) = await _submit_among_good_ones(server, fault(deed))
    assert (image["status"], image["error"]["code"]) == ("failed", "worker_crashed")
    assert image["attempts"] == 2
    assert image["duration_ms"] is not None


async def test_two_crashes_are_the_last_whatever_was_waited_for_in_between(server: Running) -> None:
    (image,) = await _submit_among_good_ones(server, fault("alternate"))
    assert (image["status"], image["error"]["code"]) == ("failed", "worker_crashed")
    assert image["attempts"] == 2
    assert (await server.core.store.image_by_id(image["id"])).claim == 3


async def test_an_image_whose_worker_hides_what_it_died_of_is_tried_a_few_times(
    server: Running,
) -> None:
    (image,) = await _submit_among_good_ones(server, fault("hide"))
    assert (image["status"], image["error"]["code"]) == ("failed", "worker_crashed")
    assert image["attempts"] == 2
    # A look that comes before it hides knows it at once.
    assert 2 <= (await server.core.store.image_by_id(image["id"])).claim <= MAX_INNOCENT + 2


async def test_an_image_that_asks_for_ever_more_memory_fails(server: Running) -> None:
    (image,) = await _submit_among_good_ones(server, fault("ask-for-more"))
    assert (image["status"], image["error"]["code"]) == ("failed", "out_of_memory")


async def test_an_image_that_hangs_is_killed_at_the_deadline(server: Running) -> None:
    (image,) = await _submit_among_good_ones(server, fault("hang"))
    assert (image["error"]["code"], image["attempts"]) == ("timeout", 1)
    assert image["duration_ms"] >= server.core.settings.workers.timeout_s * 1000


async def test_an_image_that_eats_memory_is_stopped(server: Running) -> None:
    (image,) = await _submit_among_good_ones(server, fault("hog"))
    assert (image["error"]["code"], image["attempts"]) == ("out_of_memory", 1)


async def test_images_that_wait_for_space_are_in_the_log_at_once(server: Running) -> None:
    with capture_logs() as logs:
        form = form_of(("a", fault("find-no-space")), spec=SPEC)
        async with server.http.post("/api/v1/jobs", data=form) as answer:
            job = await answer.json()
        async with server.http.ws_connect(job["links"]["events"]) as socket:
            while not (await socket.receive_json()).get("image", {}).get("last_error"):
                pass
        assert [log["what"] for log in logs if log["event"] == "storage_full"] == ["images"]
        async with server.http.post(f"{job['links']['self']}/cancel") as answer:
            assert answer.status == 200
        for width in (30, 40):  # the first may share a commit with a last try of the other
            await submit(server, ("b.jpg", make_jpeg(width, 20)))
    assert "images" in [log["what"] for log in logs if log["event"] == "storage_has_room"]


async def test_a_defect_in_rendering_is_internal_and_tells_nothing(server: Running) -> None:
    (image,) = await _submit_among_good_ones(server, fault("raise"))
    assert image["error"]["code"] == "internal"
    assert "defect" not in image["error"]["message"]


async def test_all_of_them_together_cost_only_themselves_and_leave_no_file(server: Running) -> None:
    bad = [fault(word) for word in ("crash", "hang", "leave", "hog", "raise")]
    images = await _submit_among_good_ones(server, *bad)
    assert [image["error"]["code"] for image in images] == [
        "worker_crashed", "timeout", "worker_crashed", "out_of_memory", "internal",
    ]  # fmt: skip
    slots = server.core.settings.storage.data_dir / "slots"
    assert [path.name for path in slots.glob("*/*") if "only" in path.name] == []


async def test_an_image_that_needs_more_than_a_share_runs_when_there_is_room(
    server: Running,
) -> None:
    """A share is 256 MiB, the whole budget 512."""
    bad = [fault("needs-memory", mebibytes << 20) for mebibytes in (400, 600)]
    fits, exceeds = await _submit_among_good_ones(server, *bad)
    assert (fits["status"], fits["attempts"]) == ("completed", 1)
    assert (exceeds["status"], exceeds["error"]["code"]) == ("failed", "out_of_memory")


async def test_the_end_of_a_job_is_one_line_in_the_log(server: Running) -> None:
    with capture_logs() as logs:
        files = ("a.jpg", make_jpeg(30, 20)), ("b.jpg", fault("raise"))
        job = await submit(server, *files, spec=SPEC)
        for deed in ("cancel", "retry"):  # the one changes nothing, the other what has failed
            async with server.http.post(f"{job['links']['self']}/{deed}") as answer:
                assert answer.status == 200
        async with server.http.ws_connect(job["links"]["events"]) as socket:
            assert [message async for message in socket]
    first, again = (log for log in logs if log["event"] == "job_finished")
    assert first == again
    facts = {"status": "partial", "completed": 1, "failed": 1, "cancelled": 0}
    expected = {**facts, "job_id": job["id"], "errors": {"internal": 1}}
    assert {name: first[name] for name in expected} == expected


async def test_the_end_of_a_job_at_a_start_is_one_line_too(tmp_path: Path) -> None:
    """With its last image, which took the server down once too often."""
    settings = make_settings(tmp_path)
    store = await Store.open(tmp_path / "imgsvc.db")
    job = await create(store)
    for death in range(MAX_INTERRUPTIONS):
        if death:
            await store.recover(now_ms(), died=True)
        (image,) = await claim(store, job)
        assert not image.is_suspect or await store.begin_alone(key(image))
    await store.close()
    (tmp_path / "lock").write_text('{"pid": 1, "url": null}')
    (tmp_path / "jobs" / job.id).mkdir(parents=True)
    with capture_logs() as logs:
        async with running_server(settings):
            pass
    (end,) = (log for log in logs if log["event"] == "job_finished")
    assert (end["job_id"], end["errors"]) == (job.id, {"worker_crashed": 1})


@pytest.mark.parametrize("size", [2, 4], ids=["as it was", "of a pool that has grown"])
async def test_a_worker_killed_by_hand_costs_one_more_try(
    server: Running, tmp_path: Path, size: int
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    form = form_of(("gated", fault("gate", gate)), spec=SPEC)
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job = await answer.json()
    opened = await asyncio.to_thread(gate.open, "w")  # the worker is at its end of the gate
    async with server.http.patch("/api/v1/workers", json={"size": size}) as answer:
        assert answer.status == 200
    (busy,) = [w for w in server.core.pool.workers() if w.bundles]
    assert busy.pid is not None
    worker = psutil.Process(busy.pid)
    worker.kill()
    await asyncio.to_thread(worker.wait, 10)
    opened.close()
    (await asyncio.to_thread(gate.open, "w")).close()  # another worker tries again
    async with server.http.ws_connect(job["links"]["events"]) as socket:
        messages = [json.loads(message.data) async for message in socket]
    assert messages[-1]["job"]["completed"] == 1
    image = await get_json(server, f"{job['links']['images']}/0")
    assert (image["attempts"], image["error"], image["last_error"]) == (2, None, None)
