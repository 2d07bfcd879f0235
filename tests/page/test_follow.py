"""The page while jobs go on: after reloads, beside others, and when the server goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, WebSocket, WebSocketRoute, expect

from tests.page.visitor import (
    all_shown,
    append,
    begin_job,
    delete,
    drop,
    get_json,
    names_of,
    shown_state,
    submit,
    summary_of,
)
from tests.pictures import cut, make_jpeg
from tests.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

TELL_PAUSES = """
  const { setTimeout } = window;
  window.setTimeout = (end, ms) => {
    tellPause(ms);
    return setTimeout(end, ms);
  };
"""

AWAY = "The server does not answer. This page goes on when it is back."


class Mortal:
    """A server that can be killed and started again at the same place."""

    def __init__(self, data_dir: Path) -> None:
        self.server = ServerProcess(data_dir)

    def kill(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server = ServerProcess(self.server.data_dir, self.server.port)


@pytest_asyncio.fixture(loop_scope="module")
async def mortal(tmp_path: Path) -> AsyncIterator[Mortal]:
    mortal = await asyncio.to_thread(Mortal, tmp_path / "data")
    yield mortal
    await asyncio.to_thread(mortal.kill)


async def open_job(page: Page, server: ServerProcess, job_id: str) -> None:
    await page.goto(f"{server.url}/#/jobs/{job_id}")
    await expect(page.locator(".status h1")).to_be_visible()


def hear_of_all(page: Page) -> asyncio.Event:
    """Set once the page has a message of those about all jobs."""
    heard = asyncio.Event()

    def open_ear(socket: WebSocket) -> None:
        if socket.url.endswith("/api/v1/events"):
            socket.on("framereceived", lambda _: heard.set())

    page.on("websocket", open_ear)
    return heard


async def test_a_job_is_there_again_after_a_reload_and_goes_on(
    page: Page, server: ServerProcess
) -> None:
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    await open_job(page, server, job_id)
    await expect(page.locator(".tile.completed")).to_have_count(1)
    await page.reload()
    await expect(page.locator(".tile.completed img.loaded")).to_have_count(1)
    await shown_state(page, "Open")
    await asyncio.to_thread(append, server, job_id, {"b.jpg": make_jpeg(50, 50)})
    await expect(page.locator(".tile.completed img.loaded")).to_have_count(2)
    await page.get_by_role("button", name="Close the job").click()
    await shown_state(page, "Finished")


async def test_an_upload_that_was_broken_off_is_finished_with_the_same_files(
    page: Page, server: ServerProcess, tmp_path: Path
) -> None:
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    files = {"a.jpg": make_jpeg(), "b.jpg": make_jpeg(70, 70)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    await open_job(page, server, job_id)
    await page.set_input_files(".upload input >> nth=0", [tmp_path / name for name in files])
    await shown_state(page, "Finished")
    assert await asyncio.to_thread(names_of, server, job_id) == ["a.jpg", "b.jpg"]


async def test_an_upload_is_finished_whatever_its_files_are_called(
    page: Page, server: ServerProcess, tmp_path: Path
) -> None:
    """The server keeps some names otherwise than they were; nothing is sent twice for that."""
    names = ['a"b.jpg', "back\\slash.jpg", "tab\t.jpg", "line\n.jpg", "per%22cent%0a.jpg"]
    for size, name in enumerate([*names, "\N{GRINNING FACE}" * 60 + ".jpg"], 20):
        (tmp_path / name).write_bytes(make_jpeg(size, 20))
    open_job_id = await asyncio.to_thread(begin_job, server, {"first.jpg": make_jpeg()})

    async def refuse(route: Route) -> None:
        await route.fulfill(status=409, json={"code": "none", "detail": "Not now."})

    await page.route("**/close", refuse)
    for _ in range(2):
        await open_job(page, server, open_job_id)
        await page.set_input_files(".upload input >> nth=0", list(tmp_path.iterdir()))
        await expect(page.locator(".upload .fault")).to_have_text("Not now.")
        await page.reload()
    assert len(await asyncio.to_thread(names_of, server, open_job_id)) == len(names) + 2


async def test_a_folder_without_images_does_not_close_a_job(
    page: Page, server: ServerProcess, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    await open_job(page, server, job_id)
    await page.set_input_files(".upload input[webkitdirectory]", tmp_path)
    await expect(page.locator(".upload .fault")).to_have_text("There are no images among these.")
    await asyncio.to_thread(append, server, job_id, {"b.jpg": make_jpeg(50, 50)})
    await expect(page.locator(".tile.completed")).to_have_count(2)
    await shown_state(page, "Open")
    await expect(page.locator(".upload .fault")).to_be_visible()


async def test_a_killed_server_is_waited_for_and_the_job_goes_on(
    page: Page, mortal: Mortal
) -> None:
    job_id = await asyncio.to_thread(begin_job, mortal.server, {"a.jpg": make_jpeg()})
    await open_job(page, mortal.server, job_id)
    await expect(page.locator(".tile.completed img.loaded")).to_have_count(1)
    await asyncio.to_thread(mortal.kill)
    await expect(page.get_by_text(AWAY)).to_be_visible()
    await asyncio.to_thread(mortal.start)
    await expect(page.get_by_text(AWAY)).to_be_hidden()
    await asyncio.to_thread(append, mortal.server, job_id, {"b.jpg": make_jpeg(50, 50)})
    await expect(page.locator(".tile.completed img.loaded")).to_have_count(2)


async def test_an_upload_goes_on_where_a_killed_server_left_it(page: Page, mortal: Mortal) -> None:
    reached, held = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        reached.set()
        await held.wait()
        await route.continue_()

    await page.route("**/api/v1/jobs/*/images", hold)
    job_id = await submit(page, mortal.server, {"a.jpg": make_jpeg()})
    await reached.wait()
    await asyncio.to_thread(mortal.kill)
    held.set()
    await expect(page.get_by_text(AWAY)).to_be_visible()
    await asyncio.to_thread(mortal.start)
    await shown_state(page, "Finished")
    await expect(page.locator(".tile.completed img.loaded")).to_have_count(1)
    assert await asyncio.to_thread(names_of, mortal.server, job_id) == ["a.jpg"]


async def test_a_job_is_followed_by_asking_where_no_websocket_gets_through(
    page: Page, server: ServerProcess
) -> None:
    async def refuse(socket: WebSocketRoute) -> None:
        await socket.close()

    await page.route_web_socket("**/events", refuse)
    await submit(page, server, {"a.jpg": make_jpeg()})
    await shown_state(page, "Finished")
    await expect(page.locator(".tile.completed img.loaded")).to_have_count(1)


async def test_a_job_is_deleted_only_after_a_question(page: Page, server: ServerProcess) -> None:
    job_id = await submit(page, server, {"a.jpg": make_jpeg()})
    await shown_state(page, "Finished")
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Keep it").click()
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    await page.goto(f"{server.url}/#/jobs/{job_id}")
    await expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()


async def test_a_cancel_ends_an_open_job_and_keeps_what_is_made(
    page: Page, server: ServerProcess
) -> None:
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    await open_job(page, server, job_id)
    await expect(page.locator(".tile.completed")).to_have_count(1)
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    await shown_state(page, "Finished")


async def test_what_was_cancelled_is_not_said_to_be_done(page: Page, server: ServerProcess) -> None:
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    job = await asyncio.to_thread(get_json, server, f"/api/v1/jobs/{job_id}")
    job |= {"status": "cancelled", "open": False, "progress": 100.0}
    job |= {"total": 60, "completed": 10, "failed": 1, "cancelled": 49}

    async def answer(route: Route) -> None:
        await route.fulfill(json=job)

    await page.route(f"**/api/v1/jobs/{job_id}", answer)
    await open_job(page, server, job_id)
    await expect(page.locator(".status .percent")).to_have_text("18 %")
    await expect(page.locator(".status .sentence")).to_have_text(
        "11 of 60 images done, 1 failed, 49 cancelled."
    )


async def test_a_job_that_is_tried_again_or_deleted_elsewhere_is_seen_so(
    page: Page, server: ServerProcess
) -> None:
    """Also once it is final, when it has no messages of its own any more."""
    files = {"good.jpg": make_jpeg(), "bad.jpg": cut(make_jpeg())}
    job_id = await asyncio.to_thread(begin_job, server, files)
    path = f"/api/v1/jobs/{job_id}"
    await asyncio.to_thread(server.post, f"{path}/close", {})
    heard = hear_of_all(page)
    await open_job(page, server, job_id)
    await shown_state(page, "Some failed")
    await heard.wait()
    async with page.expect_response(f"**{path}/images?*"):
        await asyncio.to_thread(server.post, f"{path}/retry", {})
    await shown_state(page, "Some failed")
    await asyncio.to_thread(delete, server, job_id)
    await expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()


async def test_a_job_that_is_tried_again_elsewhere_is_followed_without_being_asked_for(
    page: Page, server: ServerProcess
) -> None:
    files = {f"{number}.jpg": cut(make_jpeg()) for number in range(3)}
    job_id = await asyncio.to_thread(begin_job, server, files)
    path = f"/api/v1/jobs/{job_id}"
    await asyncio.to_thread(server.post, f"{path}/close", {})
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    heard = hear_of_all(page)
    await open_job(page, server, job_id)
    await shown_state(page, "Failed")
    await heard.wait()
    await page.route(f"**{path}", hold)
    async with page.expect_websocket(lambda socket: socket.url.endswith(f"{path}/events")):
        await asyncio.to_thread(server.post, f"{path}/retry", {})
    held.set()
    await shown_state(page, "Failed")


async def test_who_deletes_a_job_is_led_to_the_start_and_not_told_that_it_is_gone(
    page: Page, server: ServerProcess
) -> None:
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    await asyncio.to_thread(server.post, f"/api/v1/jobs/{job_id}/close", {})
    held = asyncio.Event()

    async def answer_late(route: Route) -> None:
        if route.request.method != "DELETE":
            await route.continue_()
            return
        answer = await route.fetch()
        await held.wait()
        await route.fulfill(response=answer)

    await page.route(f"**/api/v1/jobs/{job_id}", answer_late)
    await open_job(page, server, job_id)
    await shown_state(page, "Finished")
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    await page.goto(f"{server.url}/#/nowhere")
    async with page.expect_response(f"**/api/v1/jobs/{job_id}"):
        held.set()
    await all_shown(page)
    assert page.url.endswith("#/nowhere")


async def test_a_job_that_is_deleted_elsewhere_is_gone_also_where_an_image_is_seen_large(
    page: Page, server: ServerProcess
) -> None:
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    await open_job(page, server, job_id)
    await page.locator(".tile a").click()
    await expect(page.locator(".viewer h2")).to_have_text("a.jpg")
    await asyncio.to_thread(delete, server, job_id)
    gone = page.get_by_role("heading", name="Nothing here")
    await expect(gone).to_be_visible()
    await expect(page.locator("main")).to_be_focused()
    await page.go_back()
    await page.go_forward()
    await expect(gone).to_be_visible()


@pytest.mark.parametrize("passes", ["nothing", "the first message"])
async def test_where_connections_lead_nowhere_it_is_asked_less_and_less(
    page: Page, server: ServerProcess, passes: str
) -> None:
    def let_little_through(socket: WebSocketRoute) -> None:
        closings: list[asyncio.Future[None]] = []

        def close(message: str | bytes) -> None:
            if passes == "the first message":
                socket.send(message)
            closings.append(asyncio.ensure_future(socket.close()))

        socket.connect_to_server().on_message(close)

    is_long = asyncio.Event()

    def hear_of(pause_ms: float) -> None:
        if 1000 < pause_ms < 9000:  # not the first ones, nor how long a handshake may take
            is_long.set()

    await page.route_web_socket("**/events", let_little_through)
    await page.expose_function("tellPause", hear_of)
    await page.add_init_script(TELL_PAUSES)
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    await open_job(page, server, job_id)
    await is_long.wait()


@pytest.mark.parametrize("kind", ["job", "image"])
async def test_a_job_that_is_closed_elsewhere_is_open_no_more(
    page: Page, server: ServerProcess, kind: str
) -> None:
    """While its images are still made: the page hears what the test says, and one of the answers
    gets lost.
    """
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    job = await asyncio.to_thread(get_json, server, f"/api/v1/jobs/{job_id}")
    image = await asyncio.to_thread(get_json, server, f"/api/v1/jobs/{job_id}/images/0")
    job |= {"status": "processing", "total": 1}
    lost = 0
    followed: asyncio.Queue[WebSocketRoute] = asyncio.Queue()

    def tell_beginning(socket: WebSocketRoute) -> None:
        socket.send(json.dumps({"type": "snapshot", "seq": 1, "job": job}))
        followed.put_nowait(socket)

    async def answer(route: Route) -> None:
        nonlocal lost
        if job["open"] or lost:
            await route.fulfill(json=job)
        else:
            lost += 1
            await route.abort()

    await page.route(f"**/api/v1/jobs/{job_id}", answer)
    await page.route_web_socket(f"**/jobs/{job_id}/events", tell_beginning)
    await open_job(page, server, job_id)
    await shown_state(page, "Open")
    socket = await followed.get()
    job["open"] = False
    message = {"type": kind, "seq": 2, "image": image, "job": summary_of(job)}
    socket.send(json.dumps(message))
    await shown_state(page, "Working")
    await expect(page.locator(".upload")).to_be_hidden()
    assert lost


@pytest.mark.parametrize("address", ["#/nowhere", "#/jobs/none", "#/jobs/00000000"])
async def test_an_address_that_leads_nowhere_says_so(
    page: Page, server: ServerProcess, address: str
) -> None:
    await page.goto(f"{server.url}/{address}")
    await expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()
    await page.get_by_role("link", name="To the start").click()
    await drop(page, {"a.jpg": make_jpeg()})
