"""Ten thousand images on one page."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from imgsvc.blobs.layout import Layout
from imgsvc.domain.image import Image
from imgsvc.domain.rendering import AnalysisFacts, InputFacts, OutputFacts, Rendered
from imgsvc.store.images import ImageResult
from imgsvc.store.store import Store
from tests.pictures import make_webp
from tests.server_process import ServerProcess
from tests.store.builders import failed, key, new_image, new_job

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = 10_000
AT_ONCE = 1_000
MOST_NODES = 1_500

PICTURE = make_webp(200, 150)
RENDERED = Rendered(
    InputFacts("jpeg", 4000, 3000, 1),
    (OutputFacts("standard", "webp", 200, 150, 1, len(PICTURE), "ab" * 32),),
    (),
    80,
    AnalysisFacts("#3b5d79", False, "4PcFHYJFcYhlcFsVw1fipHZfhGMB"),
)
"""What became of every image but each thousandth, which failed."""


class Large:
    """A server with one finished job of ten thousand images."""

    def __init__(self, server: ServerProcess, job_id: str) -> None:
        self.server = server
        self.url = f"{server.url}/#/jobs/{job_id}"


async def fill(data_dir: Path) -> str:
    """Rows and files as they are after the work: the job's id."""
    data_dir.mkdir()
    store = await Store.open(data_dir / "imgsvc.db")
    now_ms = round(time.time() * 1000)
    images = [new_image(name=f"sea/{n:05}.jpg") for n in range(COUNT)]
    job = await store.create_job(new_job(label="Ten thousand", retain_s=0), images, now_ms)
    folder = Layout(data_dir).job(job.id)
    folder.outputs.mkdir(parents=True)
    folder.inputs.mkdir()
    (data_dir / "picture").write_bytes(PICTURE)

    def finish(image: Image) -> ImageResult:
        if image.index % AT_ONCE == 0:
            return failed(image)
        path = folder.output(image.id, image.claim, "standard", "webp")
        os.link(data_dir / "picture", path)
        return ImageResult(key(image), RENDERED)

    for _ in range(COUNT // AT_ONCE):
        claimed = await store.claim_images([(job.id, AT_ONCE)], now_ms)
        await store.finish_images([finish(image) for image in claimed], now_ms)
    await store.close()
    return job.id


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large(browser: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Large]:
    data_dir = tmp_path_factory.mktemp("large") / "data"
    job_id = await fill(data_dir)
    server = await asyncio.to_thread(ServerProcess, data_dir)
    yield Large(server, job_id)
    await asyncio.to_thread(server.stop)


async def nodes(page: Page) -> int:
    count = await page.evaluate("document.querySelectorAll('*').length")
    assert isinstance(count, int)
    return count


async def test_ten_thousand_images_are_scrolled_through_with_few_in_the_document(
    page: Page, large: Large
) -> None:
    await page.goto(large.url)
    await expect(page.get_by_title("sea/00001.jpg")).to_be_visible()
    await expect(page.get_by_role("link", name="All 10,000")).to_be_visible()
    seen = [await nodes(page)]
    for share in (0.3, 0.55, 0.8, 1):
        await page.evaluate(f"scrollTo(0, {share} * document.documentElement.scrollHeight)")
        await expect(page.locator(".tile.completed img.loaded").last).to_be_visible()
        seen.append(await nodes(page))
    last = page.get_by_title("sea/09999.jpg")
    await expect(last.locator("img.loaded")).to_be_visible()
    tile = page.locator(".tile", has=last)
    assert await tile.get_attribute("aria-posinset") == await tile.get_attribute("aria-setsize")
    assert max(seen) < MOST_NODES
    await page.evaluate("scrollTo(0, 0)")
    await expect(page.get_by_title("sea/00001.jpg").locator("img.loaded")).to_be_visible()


async def test_the_failed_ones_are_found_among_them(page: Page, large: Large) -> None:
    await page.goto(f"{large.url}?show=failed")
    await expect(page.locator(".tile.failed")).to_have_count(10)
    await expect(page.locator(".tile")).to_have_count(10)
    await page.get_by_role("link", name="Finished 9,990").click()
    await expect(page.get_by_title("sea/00001.jpg")).to_be_visible()
    await expect(page.get_by_title("sea/00000.jpg")).to_be_hidden()


async def test_that_no_image_is_in_a_state_is_said(page: Page, large: Large) -> None:
    await page.goto(f"{large.url}?show=cancelled")
    await expect(page.get_by_text("There are none.")).to_be_visible()
    await expect(page.locator(".tile")).to_have_count(0)


async def test_the_keys_alone_lead_through_the_grid_and_an_image(page: Page, large: Large) -> None:
    await page.goto(large.url)
    first = page.get_by_title("sea/00000.jpg")
    await first.focus()
    await page.keyboard.press("End")
    await expect(page.get_by_title("sea/09999.jpg")).to_be_focused()
    await page.keyboard.press("Home")
    await expect(first).to_be_focused()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowDown")
    columns = await page.locator(".tile").evaluate_all(
        "tiles => new Set(tiles.map(tile => tile.style.transform.split(',')[0])).size"
    )
    second_line = page.get_by_title(f"sea/{columns + 1:05}.jpg")
    await expect(second_line).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator(".viewer h2")).to_have_text(f"sea/{columns + 1:05}.jpg")
    await page.keyboard.press("ArrowRight")
    await expect(page.locator(".viewer h2")).to_have_text(f"sea/{columns + 2:05}.jpg")
    await expect(page.locator(".viewer .output")).to_contain_text(
        "WebP, 200 \N{MULTIPLICATION SIGN} 150"
    )
    await page.keyboard.press("Escape")
    await expect(page.get_by_title(f"sea/{columns + 2:05}.jpg")).to_be_focused()


async def test_an_image_has_an_address_of_its_own(page: Page, large: Large) -> None:
    await page.goto(f"{large.url}?image=7001")
    await expect(page.locator(".viewer h2")).to_have_text("sea/07001.jpg")
    await expect(page.locator(".viewer img")).to_be_visible()
    await page.get_by_role("button", name="Close").click()
    await expect(page.locator(".viewer")).to_be_hidden()
    await expect(page.get_by_role("link", name="All 10,000")).to_be_visible()


async def test_a_phone_has_two_columns_and_nothing_beyond_its_edge(
    page: Page, large: Large
) -> None:
    await page.set_viewport_size({"width": 360, "height": 700})
    await page.goto(large.url)
    await expect(page.get_by_title("sea/00003.jpg")).to_be_attached()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    await page.goto(large.server.url)
    await expect(page.get_by_role("heading", name="Drop photos here")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_the_focus_stays_on_an_image_that_is_scrolled_away(page: Page, large: Large) -> None:
    await page.goto(large.url)
    await page.get_by_title("sea/00003.jpg").focus()
    await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    await expect(page.get_by_title("sea/09999.jpg")).to_be_visible()
    await expect(page.get_by_title("sea/00003.jpg")).to_be_focused()
    assert await nodes(page) < MOST_NODES
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_title("sea/00004.jpg")).to_be_focused()
    await expect(page.get_by_title("sea/00004.jpg")).to_be_in_viewport()


async def test_from_the_address_of_an_image_the_keys_lead_on(page: Page, large: Large) -> None:
    await page.goto(f"{large.url}?image=5001")
    name = page.locator(".viewer h2")
    await expect(page.get_by_role("button", name="Next")).to_be_enabled()
    await page.keyboard.press("ArrowRight")
    await expect(name).to_have_text("sea/05002.jpg")
    await page.keyboard.press("Escape")
    await expect(page.get_by_title("sea/05002.jpg")).to_be_focused()


async def test_what_is_heard_of_an_image_far_below_leaves_no_gap_before_it(
    page: Page, large: Large
) -> None:
    await page.goto(large.url)
    indexes = await page.evaluate(
        """async (id) => {
          const { Listing } = await import("/web/listing.js");
          const far = await (await fetch(`/api/v1/jobs/${id}/images/9001`)).json();
          const listing = new Listing(id, "completed");
          const loading = listing.need(100);
          listing.note(far);
          await loading;
          return listing.rows.map(({ index }) => index);
        }""",
        large.url.rpartition("/")[2],
    )
    assert indexes == list(range(1, 201))
