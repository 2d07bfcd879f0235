"""The numbers that Prometheus reads, after real work."""

from __future__ import annotations

import asyncio
import errno
import math
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from imgsvc.config import Settings
from imgsvc.domain.job import JobChange
from imgsvc.domain.states import Priority
from imgsvc.runtime.core import open_core
from tests.cli.test_main import modules_after
from tests.fetching.hosts import Gate, Host, answer, running_host
from tests.metrics_page import Page, read_page
from tests.pictures import make_jpeg
from tests.receivers import SECRET, open_receiver
from tests.runtime import faulty
from tests.servers import Running, form_of, make_settings, running_server, submit
from tests.store.builders import create

PICTURE, OTHER = make_jpeg(64, 48), make_jpeg(80, 40)


def settings_of(tmp_path: Path) -> Settings:
    """Such as let a server ask hosts on loopback."""
    webhooks = {"allow_private": True, "secrets": [SECRET]}
    fetch = {"allow_private": True}
    return make_settings(tmp_path / "data", fetch=fetch, webhooks=webhooks)


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with running_host() as running:
        yield running


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_server(settings_of(tmp_path)) as running:
        yield running


async def post(server: Running, path: str, body: Any = None) -> dict[str, Any]:
    async with server.http.post(path, json=body) as response:
        document: dict[str, Any] = await response.json()
        assert response.status < 300, document
        return document


async def until(server: Running, *series: float | str, **labels: str) -> Page:
    """A page after a value is reached: nothing tells of it. On one on which it has just been, what
    was read earlier may be older.
    """
    least, name = series
    while (await read_page(server)).value(str(name), **labels) < float(least):
        pass
    return await read_page(server)


async def test_images_are_counted_by_their_ends(server: Running) -> None:
    files = [("a.jpg", PICTURE), ("b.jpg", OTHER), ("c.jpg", b"no image")]
    job = await submit(server, *files, preset="standard")
    again = await submit(server, ("d.jpg", PICTURE), preset="standard")
    page = await read_page(server)
    assert page.by("status", "images_total", error="") == {"completed": 3}
    assert page.by("error", "images_total", status="failed") == {"unsupported_format": 1}
    assert page.by("status", "jobs_ended_total") == {"partial": 1, "completed": 1}
    assert page.by("source", "jobs_accepted_total") == {"api": 2}
    assert page.by("origin", "outputs_total") == {"rendered": 6, "reused": 3}
    sizes = {"rendered": job["output_bytes"], "reused": again["output_bytes"]}
    assert page.by("origin", "output_bytes_total") == sizes
    assert page.value("input_bytes_total") == job["input_bytes"] + again["input_bytes"]
    assert page.value("image_render_seconds_count") == 3  # what was reused was not rendered
    assert page.value("image_wait_seconds_count") == 4
    assert page.by("state", "queue_images") == {}
    assert page.value("queue_jobs") == 0
    assert page.by("state", "workers") == {"idle": 1}
    assert page.value("workers_size") == 1
    assert page.value("workers_resident_memory_bytes") > 1 << 20
    assert page.value("store_operations_total") >= page.value("store_commits_total") > 4
    assert page.value("store_commit_seconds_total") > 0
    assert page.value("disk_free_bytes") > 0


async def test_the_queue_is_told_by_priority_and_what_its_images_wait_for(
    server: Running, host: Host
) -> None:
    host.answers["/a.jpg"] = gate = Gate(answer(PICTURE))
    host.answers["/b.jpg"] = answer(b"", "text/plain", 404)
    urls = [{"url": host.url("/a.jpg")}, {"url": host.url("/b.jpg")}]
    spec = {"images": urls, "preset": "thumbnail", "priority": "low", "open": True}
    job = await post(server, "/api/v1/jobs", spec)
    await gate.reached.wait()
    page = await until(server, 1, "fetches_total", result="fetch_failed")
    assert page.by("state", "queue_images", priority="low") == {"fetching": 1}
    assert page.by("priority", "queue_images") == {"low": 1}
    assert page.value("queue_jobs") == 1
    await post(server, f"/api/v1/jobs/{job['id']}/cancel")
    page = await read_page(server)
    assert page.by("state", "queue_images") == {}
    assert page.by("result", "fetches_total") == {"fetch_failed": 1, "cancelled": 1}
    assert page.by("status", "images_total") == {"failed": 1, "cancelled": 1}
    assert page.by("status", "jobs_ended_total") == {"cancelled": 1}
    assert server.core.store.pending.of(Priority.LOW) == (0, 0)


async def test_an_image_with_a_worker_does_not_wait_for_one(tmp_path: Path) -> None:
    async with running_server(make_settings(tmp_path / "data"), faulty.render) as server:
        form = form_of(("a.jpg", faulty.fault("hang")), preset="thumbnail")
        async with server.http.post("/api/v1/jobs", data=form) as response:
            job = await response.json()
        labels = {"priority": "normal", "state": "processing"}
        page = await until(server, 1, "queue_images", **labels)
        assert page.by("state", "queue_images") == {"processing": 1}
        await post(server, f"/api/v1/jobs/{job['id']}/cancel")
        server.core.pool.kill()


async def test_after_a_restart_counters_begin_at_0_and_the_queue_is_as_it_was(
    tmp_path: Path, host: Host
) -> None:
    host.answers["/a.jpg"] = gate = Gate(answer(PICTURE))
    settings = settings_of(tmp_path)
    async with running_server(settings) as server:
        await submit(server, ("a.jpg", PICTURE), preset="thumbnail")
        url = {"url": host.url("/a.jpg")}
        await post(server, "/api/v1/jobs", {"images": [url], "preset": "web", "priority": "high"})
        await gate.reached.wait()
    gate.reached.clear()
    async with running_server(settings) as server:
        await gate.reached.wait()
        page = await read_page(server)
        for name in ("images_total", "jobs_accepted_total", "jobs_ended_total", "fetches_total"):
            assert page.by("status" if name != "fetches_total" else "result", name) == {}
        assert page.by("state", "queue_images", priority="high") == {"fetching": 1}
        ended = asyncio.Event()

        def follow(changes: Sequence[JobChange]) -> None:
            if any(change.job.state.is_final for change in changes):
                ended.set()

        server.core.store.subscribe(follow)
        gate.opened.set()
        await ended.wait()
        page = await read_page(server)
        assert page.by("status", "images_total") == {"completed": 1}
        assert page.by("result", "fetches_total") == {"fetched": 1}
        assert page.value("fetched_bytes_total") == len(PICTURE)
        assert page.by("state", "queue_images") == {}


async def test_what_a_start_puts_right_is_followed(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    async with open_core(settings) as core:
        job = await create(core.store, 0, open=True, hidden=True)
    seen: list[JobChange] = []
    async with open_core(settings, follow=seen.extend):
        assert [(change.job.id, change.deleted) for change in seen] == [(job.id, True)]


async def test_workers_that_die_are_counted_by_what_of(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", workers={"timeout_s": 1})
    async with running_server(settings, faulty.render) as server:
        files = [("a.jpg", faulty.fault("crash")), ("b.jpg", faulty.fault("hang"))]
        await submit(server, *files, preset="thumbnail")
        page = await until(server, 1, "worker_deaths_total", cause="timeout")
        page = await until(server, 2, "worker_deaths_total", cause="crashed")
        assert page.by("cause", "worker_deaths_total") == {"crashed": 2, "timeout": 1}
        errors = page.by("error", "images_total", status="failed")
        assert errors == {"worker_crashed": 1, "timeout": 1}


async def test_a_disk_that_does_not_say_what_is_free_hides_nothing_else(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("imgsvc.blobs.blob_store.find_free_bytes", fail)
    page = await read_page(server)
    assert math.isnan(page.value("disk_free_bytes"))
    assert page.value("workers_size") == 1


async def test_messages_are_counted_by_tries_and_by_their_ends(server: Running) -> None:
    async with open_receiver() as receiver:
        receiver.will(500, 410)
        hook = f"{receiver.url}/hook"
        await submit(server, ("a.jpg", PICTURE), preset="thumbnail", webhook_url=hook)
        page = await until(server, 1, "webhook_tries_total", result="http_status")
        assert page.by("state", "webhook_deliveries_total") == {}
        await submit(server, ("a.jpg", PICTURE), preset="thumbnail", webhook_url=hook)
        page = await until(server, 1, "webhook_deliveries_total", state="disabled")
        assert page.by("result", "webhook_tries_total") == {"http_status": 1, "gone": 1}


async def test_who_follows_is_counted(server: Running) -> None:
    async with server.http.ws_connect("/api/v1/events") as socket:
        await socket.receive_json()
        assert (await read_page(server)).value("progress_readers") == 1


async def test_two_servers_in_one_process_count_for_themselves(
    server: Running, tmp_path: Path
) -> None:
    await submit(server, ("a.jpg", PICTURE), preset="thumbnail")
    async with running_server(make_settings(tmp_path / "other")) as other:
        assert (await read_page(other)).by("status", "images_total") == {}
    assert (await read_page(server)).by("status", "images_total") == {"completed": 1}


def test_only_the_server_loads_the_library() -> None:
    assert "prometheus_client" in modules_after("import imgsvc.runtime.server")
    for module in ("cli.main", "cli.submit", "cli.run", "runtime.core", "workers.child", "client"):
        loaded = modules_after(f"import imgsvc.{module}")
        assert f"imgsvc.{module}" in loaded
        assert "prometheus_client" not in loaded, module
