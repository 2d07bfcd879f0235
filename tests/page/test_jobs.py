"""The list of jobs of the page, while others make, end and delete them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.page.visitor import (
    all_shown,
    begin_job,
    delete,
    get_json,
    open_start,
    shown_state,
    summary_of,
)
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
    followed: list[WebSocketRoute] = []
    asked = 0

    def pass_on_the_first(socket: WebSocketRoute) -> None:
        def pass_on(message: str | bytes) -> None:
            if not followed:
                socket.send(message)
                followed.append(socket)

        socket.connect_to_server().on_message(pass_on)

    async def answer(route: Route) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            await route.abort()
        else:
            items = [] if job["status"] == "completed" else [job]
            await route.fulfill(json={"items": items, "next_cursor": None})

    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    job = await asyncio.to_thread(get_json, server, f"/api/v1/jobs/{job_id}")
    await page.clock.install()
    await page.route_web_socket("**/api/v1/events", pass_on_the_first)
    await open_start(page, server)
    line = page.locator(f".jobs a[href='#/jobs/{job_id}']")
    await expect(line).to_be_visible()
    await page.route("**/api/v1/jobs?*", answer)
    told = 50
    for number in range(told):
        is_last = number + 1 == told
        job |= {"status": "completed" if is_last else "processing", "progress": 2 * number}
        message = {"type": "job", "seq": 1000 + number, "job": summary_of(job)}
        followed[0].send(json.dumps(message))
        await page.clock.run_for(100)
    await expect(page.get_by_text("None yet.")).to_be_visible()
    await expect(line).to_have_count(0)
    assert asked < told / 4


async def test_the_list_is_asked_for_also_where_no_message_comes_and_again_after_a_fault(
    page: Page, server: ServerProcess
) -> None:
    async def fail(route: Route) -> None:
        await route.fulfill(status=500, json={"code": "internal", "detail": "A fault of ours."})

    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    await page.clock.install()
    await page.route_web_socket("**/api/v1/events", lambda _: None)
    await page.route("**/api/v1/jobs?*", fail, times=1)
    async with page.expect_response("**/api/v1/jobs?*"):
        await open_start(page, server)
    await all_shown(page)
    await page.clock.run_for(10_000)
    await expect(page.locator(f".jobs a[href='#/jobs/{job_id}']")).to_be_visible()


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
