"""What comes late, twice or out of its order."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from playwright.async_api import Page, Route, WebSocket, WebSocketRoute, expect

from tests.page.visitor import (
    all_shown,
    begin_job,
    drop,
    get_json,
    open_start,
    shown_state,
    start,
    submit,
)
from tests.pictures import cut, make_jpeg
from tests.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_finished_upload_is_not_taken_for_one_that_was_broken_off(
    page: Page, server: ServerProcess
) -> None:
    """While its images are still made; messages of progress do not say that a job was closed."""
    followed = asyncio.Event()

    def tell_beginning(socket: WebSocketRoute) -> None:
        def hear(message: str | bytes) -> None:
            if not followed.is_set():
                socket.send(message)
                followed.set()

        beyond = socket.connect_to_server()
        beyond.on_message(hear)
        beyond.on_close(lambda code, reason: None)  # or the page would ask how it ended

    async def close_late(route: Route) -> None:
        await followed.wait()
        await route.continue_()

    await page.route_web_socket("**/events", tell_beginning)
    await page.route("**/api/v1/jobs/*/close", close_late)
    await submit(page, server, {"a.jpg": make_jpeg()})
    await expect(page.locator(".status .state")).to_have_text(re.compile("Waiting|Working"))
    await expect(page.locator(".upload")).to_be_hidden()


async def test_what_changed_before_a_job_was_followed_is_seen(
    page: Page, server: ServerProcess
) -> None:
    followed = asyncio.Event()

    async def answer_early(route: Route) -> None:
        is_early = not followed.is_set()
        answer = await route.fetch()
        images = await answer.json()
        if is_early:
            images["items"][0] |= {"status": "processing", "outputs": []}
        await route.fulfill(response=answer, json=images)

    async def follow_late(socket: WebSocketRoute) -> None:
        await followed.wait()
        socket.connect_to_server()

    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    await page.goto(f"{server.url}/#/jobs/{job_id}")
    await expect(page.locator(".tile.completed")).to_have_count(1)
    await page.route("**/api/v1/jobs/*/images?*", answer_early)
    await page.route_web_socket("**/events", follow_late)
    await page.reload()
    await expect(page.locator(".tile.processing")).to_have_count(1)
    followed.set()
    await expect(page.locator(".tile.completed")).to_have_count(1)


async def test_what_was_asked_for_before_other_images_are_looked_at_does_not_take_their_place(
    page: Page, server: ServerProcess
) -> None:
    files = {"good.jpg": make_jpeg(), "bad.jpg": cut(make_jpeg())}
    job_id = await asyncio.to_thread(begin_job, server, files)
    await page.goto(f"{server.url}/#/jobs/{job_id}")
    await expect(page.locator(".tile:is(.completed, .failed)")).to_have_count(2)
    asked, held = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        if "status=" not in route.request.url:
            asked.set()
            await held.wait()
        await route.continue_()

    await page.route("**/api/v1/jobs/*/images?*", hold)
    await asyncio.to_thread(server.post, f"/api/v1/jobs/{job_id}/close", {})
    await asked.wait()
    await page.get_by_role("link", name="Failed").click()
    await expect(page.locator(".tile")).to_have_count(1)
    is_late = re.compile(r"/images\?(?!.*status=)").search
    async with page.expect_event("requestfinished", lambda sent: bool(is_late(sent.url))):
        held.set()
    await all_shown(page)
    await expect(page.locator(".tile")).to_have_count(1)


async def test_what_is_heard_while_the_list_of_jobs_is_asked_for_is_newer_than_the_answer(
    page: Page, server: ServerProcess
) -> None:
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    asked, heard = asyncio.Event(), asyncio.Event()

    async def answer_late(route: Route) -> None:
        answer = await route.fetch()
        asked.set()
        await heard.wait()
        await route.fulfill(response=answer)

    def listen(frame: str | bytes) -> None:
        if job_id in str(frame) and '"status":"completed"' in str(frame):
            heard.set()

    def open_ear(socket: WebSocket) -> None:
        socket.on("framereceived", listen)

    page.on("websocket", open_ear)
    await page.route("**/api/v1/jobs?*", answer_late)
    await page.goto(server.url)
    await asked.wait()
    await asyncio.to_thread(server.post, f"/api/v1/jobs/{job_id}/close", {})
    line = page.locator(f".jobs a[href='#/jobs/{job_id}']")
    await expect(line.locator(".state")).to_have_text("Finished")


async def test_a_job_is_begun_once_whatever_is_done_meanwhile(
    page: Page, server: ServerProcess
) -> None:
    begun = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await begun.wait()
        await route.continue_()

    await page.route("**/api/v1/jobs", answer_late)
    await open_start(page, server)
    await drop(page, {"a.jpg": make_jpeg()})
    await page.get_by_role("button", name="Start").click()
    await drop(page, {"b.jpg": make_jpeg(50, 50)})
    await expect(page.get_by_role("button", name="Start with 2 images")).to_be_disabled()
    begun.set()
    await page.wait_for_url("**/#/jobs/*")
    await shown_state(page, "Finished")


async def test_a_job_that_is_begun_takes_nobody_away_from_elsewhere(
    page: Page, server: ServerProcess
) -> None:
    other = await asyncio.to_thread(begin_job, server, {"other.jpg": make_jpeg()})
    begun = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await begun.wait()
        await route.continue_()

    await page.route("**/api/v1/jobs", answer_late)
    await open_start(page, server)
    await drop(page, {"a.jpg": make_jpeg()})
    await page.get_by_role("button", name="Start").click()
    await page.locator(f".jobs a[href='#/jobs/{other}']").click()
    await expect(page.get_by_title("other.jpg")).to_be_visible()
    async with page.expect_response("**/close"):
        begun.set()
    assert page.url.endswith(other)


async def test_an_image_that_could_not_be_asked_for_is_shown_when_the_server_is_back(
    page: Page, server: ServerProcess
) -> None:
    asked = 0

    async def fail_once(route: Route) -> None:
        nonlocal asked
        asked += 1
        await (route.abort() if asked == 1 else route.continue_())

    await open_start(page, server)
    await drop(page, {"a.jpg": make_jpeg()})
    await start(page)
    await shown_state(page, "Finished")
    await page.route("**/images/0", fail_once)
    await page.locator(".tile a").click()
    await expect(page.locator(".viewer h2")).to_have_text("a.jpg")
    assert asked == 2


async def test_what_is_heard_of_an_image_while_it_is_asked_for_is_newer_than_the_answer(
    page: Page, server: ServerProcess
) -> None:
    """The page hears and is answered what the test says."""
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    path = f"/api/v1/jobs/{job_id}"
    job = await asyncio.to_thread(get_json, server, path)
    image = await asyncio.to_thread(get_json, server, f"{path}/images/0")
    followed: asyncio.Queue[WebSocketRoute] = asyncio.Queue()
    held = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await held.wait()
        await route.fulfill(json=image | {"status": "pending"})

    def tell_beginning(socket: WebSocketRoute) -> None:
        socket.send(json.dumps({"type": "snapshot", "seq": 1, "job": job}))
        followed.put_nowait(socket)

    await page.route("**/images/0", answer_late)
    await page.route_web_socket("**/events", tell_beginning)
    async with page.expect_request("**/images/0"):
        await page.goto(f"{server.url}/#/jobs/{job_id}?image=0")
    socket = await followed.get()
    change = {"type": "image", "seq": 2, "image": image | {"status": "cancelled"}, "job": job}
    socket.send(json.dumps(change))
    state = page.locator(".viewer .state")
    await expect(state).to_have_text("Cancelled")
    async with page.expect_response("**/images/0") as answer:
        held.set()
    await (await answer.value).finished()
    await page.evaluate("new Promise((done) => setTimeout(done))")
    await expect(state).to_have_text("Cancelled")


async def test_a_picture_that_was_lost_comes_when_the_server_is_back(
    page: Page, server: ServerProcess
) -> None:
    is_back = asyncio.Event()

    async def answer(route: Route) -> None:
        await (route.continue_() if is_back.is_set() else route.abort())

    await submit(page, server, {"a.jpg": make_jpeg()})
    await expect(page.locator(".tile.completed img.loaded")).to_have_count(1)
    await page.route(re.compile("/outputs/|/livez"), answer)
    await page.locator(".tile a").click()
    await expect(page.locator("#away")).to_be_visible()
    is_back.set()
    await expect(page.locator(".viewer img")).to_have_js_property("naturalWidth", 64)
