"""Who has the keys alone: the focus stays where it is while the page changes around it."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from tests.page.visitor import begin_job, open_start, shown_state, submit
from tests.pictures import make_jpeg
from tests.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_line_of_the_list_keeps_the_focus_when_a_job_comes(
    page: Page, server: ServerProcess
) -> None:
    job_id = await asyncio.to_thread(begin_job, server, {"a.jpg": make_jpeg()})
    await open_start(page, server)
    line = page.locator(f".jobs a[href='#/jobs/{job_id}']")
    await line.focus()
    await asyncio.to_thread(server.post, "/api/v1/jobs", {"open": True, "label": "newer"})
    await expect(page.locator(".job").first).to_contain_text("newer")
    await expect(line).to_be_focused()


async def test_the_way_to_an_upload_keeps_the_focus_while_it_gets_on(
    page: Page, server: ServerProcess
) -> None:
    """Also whoever clicks it: what a button went down on must be there when it goes up."""
    first, others = asyncio.Event(), asyncio.Event()
    waits = iter([first])

    async def hold(route: Route) -> None:
        await next(waits, others).wait()
        await route.continue_()

    await page.route("**/api/v1/jobs/*/images", hold)
    await submit(page, server, {f"{n}.jpg": make_jpeg(40 + n, 40) for n in range(33)})
    link = page.locator(".sendings a")
    await link.focus()
    first.set()
    await expect(page.locator(".upload")).to_contain_text("32 of 33 images")
    await expect(link).to_be_focused()
    others.set()
    await shown_state(page, "Finished")


async def test_the_keys_lead_through_images_whatever_has_gone_from_under_them(
    page: Page, server: ServerProcess
) -> None:
    await submit(page, server, {f"{n}.jpg": make_jpeg(40 + n, 40) for n in range(3)})
    await shown_state(page, "Finished")
    await page.get_by_title("1.jpg").click()
    name = page.locator(".viewer h2")
    await expect(name).to_have_text("1.jpg")
    await page.get_by_role("button", name="Next").press("Enter")
    await expect(name).to_have_text("2.jpg")
    await expect(page.get_by_role("button", name="Next")).to_be_hidden()
    await page.keyboard.press("ArrowLeft")
    await expect(name).to_have_text("1.jpg")
    await page.get_by_role("button", name="thumbnail", exact=True).click()
    await page.keyboard.press("ArrowLeft")
    await expect(name).to_have_text("0.jpg")
    await page.keyboard.press("ArrowRight")
    await expect(name).to_have_text("1.jpg")


async def test_on_a_small_screen_no_picture_lies_over_the_way_out(
    page: Page, server: ServerProcess
) -> None:
    await page.set_viewport_size({"width": 320, "height": 640})
    await submit(page, server, {"tall.jpg": make_jpeg(400, 400)})
    await shown_state(page, "Finished")
    await page.locator(".tile a").click()
    await expect(page.locator(".stage img")).to_be_visible()
    await page.get_by_role("button", name="Close", exact=True).click()
    await expect(page.locator(".viewer")).to_be_hidden()
