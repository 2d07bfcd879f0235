"""The list of jobs of the page, while others make, end and delete them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.page.visitor import begin_job, delete, get_json, open_start, shown_state, summary_of
from tests.pictures import make_jpeg
from tests.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def empty_server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    server = await asyncio.to_thread(ServerProcess, tmp_path / "data")
    yield server
    await asyncio.to_thread(server.stop)


async def test_the_list_of_jobs_shows_what_others_do(page: Page, server: ServerProcess) -> None:
    await open_start(page, server)
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    line = page.locator(f".jobs a[href='#/jobs/{job_id}']")
    await expect(line).to_contain_text("1 image")
    await expect(line).to_contain_text("thumbnail, from api")
    await asyncio.to_thread(server.post, f"/api/v1/jobs/{job_id}/close", {})
    await expect(line.locator(".state")).to_have_text("Finished")
    await line.click()
    await shown_state(page, "Finished")
    await page.go_back()
    await expect(line.locator(".state")).to_have_text("Finished")
    await asyncio.to_thread(delete, server, job_id)
    await expect(line).to_have_count(0)


async def test_a_job_that_is_deleted_before_it_has_ended_leaves_the_list(
    page: Page, server: ServerProcess
) -> None:
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    await open_start(page, server)
    line = page.locator(f".jobs a[href='#/jobs/{job_id}']")
    await expect(line).to_contain_text("1 image")
    await expect(line).not_to_contain_text("0 of")
    await asyncio.to_thread(delete, server, job_id)
    await expect(line).to_have_count(0)


async def test_the_list_is_asked_for_now_and_then_however_often_a_job_is_told_of(
    page: Page, server: ServerProcess
) -> None:
    """And a job that is deleted right when it has ended leaves it: the page is told only that it
    has ended. An answer that gets lost is asked for again.
    """
    followed: asyncio.Queue[WebSocketRoute] = asyncio.Queue()
    asked = 0

    def pass_on_the_first(socket: WebSocketRoute) -> None:
        def pass_on(message: str | bytes) -> None:
            if followed.empty():
                socket.send(message)
                followed.put_nowait(socket)

        socket.connect_to_server().on_message(pass_on)

    async def say_that_there_is_none(route: Route) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            await route.abort()
        else:
            await route.fulfill(json={"items": [], "next_cursor": None})

    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    job = await asyncio.to_thread(get_json, server, f"/api/v1/jobs/{job_id}")
    await page.route_web_socket("**/api/v1/events", pass_on_the_first)
    await open_start(page, server)
    line = page.locator(f".jobs a[href='#/jobs/{job_id}']")
    await expect(line).to_be_visible()
    await page.route("**/api/v1/jobs?*", say_that_there_is_none)
    socket = followed.get_nowait()
    told = 40
    for number in range(told):
        job |= {"status": "processing", "progress": 100 * number / told}
        socket.send(json.dumps({"type": "job", "seq": 1000 + number, "job": summary_of(job)}))
    job["status"] = "completed"
    socket.send(json.dumps({"type": "job", "seq": 2000, "job": summary_of(job)}))
    await expect(page.get_by_text("None yet.")).to_be_visible()
    await expect(line).to_have_count(0)
    assert asked < told / 4


async def test_older_jobs_stay_in_the_list_when_a_new_one_comes(
    page: Page, empty_server: ServerProcess
) -> None:
    """And what became of them unheard is seen once the page hears again."""
    sockets: list[WebSocketRoute] = []
    is_deaf = False

    def pass_on(socket: WebSocketRoute) -> None:
        beyond = socket.connect_to_server()
        beyond.on_message(lambda message: None if is_deaf else socket.send(message))
        sockets.append(socket)

    def begin_many() -> list[str]:
        specs = ({"open": True, "label": f"job {number}"} for number in range(52))
        return [str(empty_server.post("/api/v1/jobs", spec)["id"]) for spec in specs]

    await page.route_web_socket("**/events", pass_on)
    oldest = await asyncio.to_thread(begin_many)
    await open_start(page, empty_server)
    await expect(page.locator(".job")).to_have_count(50)
    await page.get_by_role("button", name="Older jobs").click()
    await expect(page.locator(".job")).to_have_count(52)
    await asyncio.to_thread(empty_server.post, "/api/v1/jobs", {"open": True, "label": "newest"})
    await expect(page.locator(".job").first).to_contain_text("newest")
    await expect(page.locator(".job")).to_have_count(53)
    await expect(page.locator(".job").last).to_contain_text("job 0")
    is_deaf = True
    await asyncio.to_thread(begin_many)
    await asyncio.to_thread(delete, empty_server, oldest[0])
    await asyncio.to_thread(empty_server.post, f"/api/v1/jobs/{oldest[1]}/close", {})
    await sockets[-1].close()
    await expect(page.locator(".job").first).to_contain_text("job 51")
    await expect(page.locator(".job")).to_have_count(100)
    await page.get_by_role("button", name="Older jobs").click()
    await expect(page.locator(".job")).to_have_count(104)
    await expect(page.get_by_role("button", name="Older jobs")).to_be_hidden()
    await expect(page.locator(".job").last).to_contain_text("job 1")
    await expect(page.locator(".job").last.locator(".state")).to_have_text("Finished")
