"""Uploads of many files, and what may happen to them on their way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Page, Request, Route, expect

from tests.page.visitor import drop, get_json, names_of, open_start, shown_state, start, submit
from tests.pictures import make_jpeg, make_png
from tests.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_many_files_go_in_bounded_groups_each_with_a_key_of_its_own(
    page: Page, server: ServerProcess
) -> None:
    files = {f"{n:02}.png": make_png(8 + n % 8, 8) for n in range(70)}
    sent: list[str | None] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/images"):
            sent.append(request.headers.get("idempotency-key"))

    page.on("request", note)
    job_id = await submit(page, server, files)
    await shown_state(page, "Finished")
    assert len(sent) == len(set(sent) - {None}) == 3
    images = await asyncio.to_thread(get_json, server, f"/api/v1/jobs/{job_id}/images?limit=100")
    names = [image["name"] for image in images["items"]]
    assert sorted(names) == sorted(files)


async def test_what_a_lost_answer_had_brought_is_not_taken_twice(
    page: Page, server: ServerProcess
) -> None:
    keys: list[str | None] = []

    async def lose_the_first(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        if len(keys) > 1:
            await route.continue_()
            return
        await route.fetch()
        await route.abort()

    await page.route("**/api/v1/jobs/*/images", lose_the_first)
    job_id = await submit(page, server, {"a.jpg": make_jpeg()})
    await shown_state(page, "Finished")
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert await asyncio.to_thread(names_of, server, job_id) == ["a.jpg"]


async def test_a_job_whose_answer_was_lost_is_begun_once(page: Page, server: ServerProcess) -> None:
    begun: list[str] = []

    async def lose_the_first(route: Route) -> None:
        answer = await route.fetch()
        begun.append((await answer.json())["id"])
        await (route.abort() if len(begun) == 1 else route.fulfill(response=answer))

    await page.route("**/api/v1/jobs", lose_the_first)
    job_id = await submit(page, server, {"a.jpg": make_jpeg()})
    await shown_state(page, "Finished")
    assert begun == [job_id, job_id]


async def test_a_server_that_asks_to_wait_is_waited_for(page: Page, server: ServerProcess) -> None:
    asked = 0
    seen = asyncio.Event()

    async def refuse_once(route: Route) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            await seen.wait()
            await route.continue_()
            return
        problem = {"code": "storage_full", "detail": "The disk is full.", "errors": []}
        await route.fulfill(status=507, headers={"Retry-After": "1"}, json=problem)

    await page.route("**/api/v1/jobs/*/images", refuse_once)
    await submit(page, server, {"a.jpg": make_jpeg()})
    await expect(page.locator(".upload .fault")).to_have_text("The disk is full.")
    seen.set()
    await shown_state(page, "Finished")
    await expect(page.locator(".upload")).to_be_hidden()


async def stay_when_warned(page: Page) -> None:
    async with page.expect_event("dialog") as asked:
        await page.close(run_before_unload=True)
    dialog = await asked.value
    assert dialog.type == "beforeunload"
    await dialog.dismiss()


async def test_who_leaves_while_files_are_sent_is_warned(page: Page, server: ServerProcess) -> None:
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await page.route("**/api/v1/jobs/*/images", hold)
    await submit(page, server, {"a.jpg": make_jpeg()})
    await page.locator("h1").click()  # a page that nobody touched may not ask
    await stay_when_warned(page)
    held.set()
    await shown_state(page, "Finished")


async def test_who_leaves_before_there_is_a_job_is_warned(
    page: Page, server: ServerProcess
) -> None:
    is_back = asyncio.Event()

    async def answer(route: Route) -> None:
        await (route.continue_() if is_back.is_set() else route.fulfill(status=503))

    await page.route("**/api/v1/jobs", answer)
    await open_start(page, server)
    await drop(page, {"a.jpg": make_jpeg()})
    await page.get_by_role("button", name="Start").click()
    await expect(page.get_by_role("alert")).to_contain_text("503")
    await stay_when_warned(page)
    is_back.set()
    await shown_state(page, "Finished")


async def test_a_file_that_has_gone_is_named_and_the_others_are_sent(
    page: Page, server: ServerProcess, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.jpg", tmp_path / "gone.jpg"]
    for path in paths:
        path.write_bytes(make_jpeg())
    await open_start(page, server)
    await page.set_input_files("input[type=file] >> nth=0", paths)
    await expect(page.locator(".looks canvas.drawn")).to_have_count(2)
    paths[1].unlink()
    job_id = await start(page)
    await shown_state(page, "Finished")
    await expect(page.locator(".upload .fault")).to_have_text(
        "Could not be read any more, and were not sent: gone.jpg."
    )
    assert await asyncio.to_thread(names_of, server, job_id) == ["a.jpg"]
