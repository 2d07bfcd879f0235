"""From files in a browser to their results."""

from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path

import pytest
from playwright.async_api import Error, Page, Route, expect

from imgsvc.domain.input_names import name_of_url
from tests.page.visitor import (
    drop,
    get_json,
    names_of,
    open_start,
    shown_state,
    start,
    submit,
)
from tests.pictures import cut, make_jpeg, make_png
from tests.server_process import ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = '<img src=x onerror="document.title=1">&amp;.jpg'


async def test_dropped_files_are_made_shown_and_downloaded(
    page: Page, server: ServerProcess
) -> None:
    job_id = await submit(page, server, {"beach.jpg": make_jpeg(400, 300), "dunes.png": make_png()})
    await shown_state(page, "Finished")
    await expect(page.locator(".tile.completed img.loaded")).to_have_count(2)
    await expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download all as ZIP").click()
    archive = zipfile.ZipFile(await (await download.value).path())
    assert "beach-thumbnail.webp" in archive.namelist()
    assert len(archive.namelist()) == 6
    job = await asyncio.to_thread(get_json, server, f"/api/v1/jobs/{job_id}")
    assert (job["source"], job["open"]) == ("page", False)


async def test_a_folder_keeps_its_names_and_what_is_no_image_is_left_out(
    page: Page, server: ServerProcess, tmp_path: Path
) -> None:
    folder = tmp_path / "summer"
    (folder / "sea").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(make_jpeg())
    (folder / "sea" / "b.jpg").write_bytes(make_jpeg(50, 50))
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.jpg").write_bytes(make_jpeg())
    await open_start(page, server)
    await page.set_input_files("input[webkitdirectory]", folder)
    await expect(page.locator(".chosen")).to_contain_text("2 files left out, as no images.")
    job_id = await start(page)
    await shown_state(page, "Finished")
    names = await asyncio.to_thread(names_of, server, job_id)
    assert sorted(names) == ["summer/a.jpg", "summer/sea/b.jpg"]


async def test_a_failed_image_says_why_and_can_be_looked_at_alone(
    page: Page, server: ServerProcess
) -> None:
    await submit(page, server, {"good.jpg": make_jpeg(), "bad.jpg": cut(make_jpeg())})
    await shown_state(page, "Some failed")
    await page.get_by_role("link", name="Failed 1").click()
    tiles = page.locator(".tile")
    await expect(tiles).to_have_count(1)
    await expect(tiles).to_contain_text("The image is damaged or incomplete.")
    await expect(tiles).to_contain_text("corrupt_image")
    await tiles.locator("a").click()
    await expect(page.locator(".viewer .trouble")).to_contain_text("corrupt_image")
    await expect(page.locator(".viewer .original")).not_to_contain_text("Made in")
    await page.keyboard.press("Escape")
    await expect(page.locator(".viewer")).to_be_hidden()
    await page.wait_for_url("**?show=failed")
    async with page.expect_response("**/retry") as answer:
        await page.get_by_role("button", name="Try 1 image again").click()
    assert (await answer.value).ok
    await page.go_back()
    await expect(tiles).to_have_count(2)
    await shown_state(page, "Some failed")


async def test_a_warning_is_not_shown_as_a_fault(page: Page, server: ServerProcess) -> None:
    await open_start(page, server)
    await page.get_by_label("Preset").select_option("square")
    await drop(page, {"small.png": make_png(40, 30)})
    await start(page)
    await shown_state(page, "Finished")
    await page.locator(".tile a").click()
    await expect(page.locator(".viewer .warning")).to_contain_text("not_enlarged")
    await expect(page.locator(".viewer .trouble")).to_have_count(0)


async def test_names_from_elsewhere_are_text_and_nothing_else(
    page: Page, server: ServerProcess
) -> None:
    await open_start(page, server)
    await page.get_by_label("Label").fill("<script>document.title=1</script>")
    await drop(page, {HOSTILE: cut(make_jpeg())})
    await start(page)
    await shown_state(page, "Failed")
    await expect(page.locator(".status h1")).to_have_text("<script>document.title=1</script>")
    await expect(page.locator(".tile .name")).to_have_text(HOSTILE)
    await page.locator(".tile a").click()
    await expect(page.locator(".viewer h2")).to_have_text(HOSTILE)
    assert await page.locator("[onerror], main script").count() == 0
    assert await page.title() != "1"


async def test_no_script_of_the_page_can_make_markup_of_text(
    page: Page, server: ServerProcess
) -> None:
    await open_start(page, server)
    with pytest.raises(Error, match="TrustedHTML"):
        await page.evaluate("document.body.innerHTML = '<b>a</b>'")


async def test_addresses_are_checked_line_by_line_before_anything_is_sent(
    page: Page, server: ServerProcess
) -> None:
    await open_start(page, server)
    await page.get_by_text("Images from the web").click()
    addresses = page.get_by_label("Addresses, one a line")
    await addresses.fill("https://example.com/a.jpg\n\nbeach.jpg")
    await expect(page.get_by_role("alert")).to_have_text("No web address: line 3.")
    await expect(page.get_by_role("button", name="Start")).to_be_disabled()
    await addresses.fill("http://127.0.0.1:1/a.jpg\nhttp://127.0.0.1:1/b.jpg")
    await start(page)
    await shown_state(page, "Failed")
    await expect(page.locator(".tile").first).to_contain_text("fetch_blocked")


async def test_an_address_names_its_image_as_on_the_command_line(
    page: Page, server: ServerProcess
) -> None:
    urls = [
        "http://127.0.0.1:1/shop/a.jpg?size=2#top", "http://127.0.0.1:1/a%20%c3%a9%E9.jpg",
        "http://127.0.0.1:1/%ef%bb%bfa.jpg",
        "http://127.0.0.1:1/", "http://127.0.0.1:1", "http://127.0.0.1:1/a%2fb%5Cc%0a.jpg",
        f"http://127.0.0.1:1/{'a' * 300}.jpg", "http://127.0.0.1:1/100%.jpg",
    ]  # fmt: skip
    await open_start(page, server)
    await page.get_by_text("Images from the web").click()
    await page.get_by_label("Addresses, one a line").fill("\n".join(urls))
    job_id = await start(page)
    await shown_state(page, "Failed")
    names = [name_of_url(url) or f"image-{index}" for index, url in enumerate(urls)]
    assert await asyncio.to_thread(names_of, server, job_id) == names


async def test_more_images_than_a_job_takes_are_not_begun(
    page: Page, server: ServerProcess
) -> None:
    """Also where they are chosen before the server has said what it takes."""
    chosen = asyncio.Event()

    async def lower(route: Route) -> None:
        answer = await route.fetch()
        info = await answer.json()
        info["limits"] |= {"max_images_per_job": 1, "max_image_bytes": 10_000}
        await chosen.wait()
        await route.fulfill(response=answer, json=info)

    await page.route("**/api/v1/info", lower)
    await open_start(page, server)
    await drop(page, {"a.jpg": make_jpeg(), "b.jpg": make_jpeg(80, 80), "c.png": bytes(20_000)})
    await expect(page.locator(".chosen strong")).to_contain_text("3 files")
    chosen.set()
    await expect(page.get_by_role("alert")).to_have_text(
        "A job takes at most 1 image, and these are 2."
    )
    await expect(page.locator(".chosen")).to_contain_text("1 file left out: larger than 10 kB.")
    await page.get_by_role("button", name="Clear").click()
    await drop(page, {"d.png": bytes(20_000), "e.jpg": make_jpeg()})
    await expect(page.get_by_role("button", name="Start")).to_be_enabled()


async def test_a_product_list_is_a_job_of_its_own(page: Page, server: ServerProcess) -> None:
    content = b"S. No.,Product Name,Input Image Urls\n1,Shoe,http://127.0.0.1:1/shoe.jpg\n"
    await open_start(page, server)
    await drop(page, {"products.csv": content, "a.jpg": make_jpeg()})
    await expect(page.get_by_role("alert")).to_have_text(
        "A product list is a job of its own: nothing else goes with it."
    )
    await expect(page.get_by_role("button", name="Start")).to_be_disabled()
    await page.get_by_role("button", name="Clear").click()
    await drop(page, {"wrong.csv": b"no list\n"})
    await page.get_by_role("button", name="Start with a product list").click()
    await expect(page.get_by_role("alert")).to_contain_text("The product list is not valid.")
    wrong = page.get_by_role("alert").get_by_role("listitem")
    await expect(wrong).to_contain_text(["serial number", "product name", "input image URLs"])
    await page.get_by_role("button", name="Clear").click()
    await page.get_by_label("Label").fill("shoes & hats")
    await drop(page, {"products.csv": content})
    job_id = await start(page)
    await shown_state(page, "Failed")
    await expect(page.locator(".tile .name")).to_have_text("shoe.jpg")
    job = await asyncio.to_thread(get_json, server, f"/api/v1/jobs/{job_id}")
    assert (job["source"], job["label"], job["preset"]) == ("csv", "shoes & hats", "standard")


async def test_a_product_list_that_was_changed_since_it_was_chosen_is_asked_for_again(
    page: Page, server: ServerProcess, tmp_path: Path
) -> None:
    path = tmp_path / "products.csv"
    path.write_text("no list\n")
    await open_start(page, server)
    await page.set_input_files("input[type=file] >> nth=0", path)
    path.write_text("S. No.,Product Name,Input Image Urls\n1,Shoe,http://127.0.0.1:1/shoe.jpg\n")
    await page.get_by_role("button", name="Start").click()
    await expect(page.get_by_role("alert")).to_contain_text("choose it again")
    await page.get_by_role("button", name="Clear").click()
    await page.set_input_files("input[type=file] >> nth=0", path)
    await start(page)
    await shown_state(page, "Failed")


async def test_a_preset_says_what_it_makes(page: Page, server: ServerProcess) -> None:
    await open_start(page, server)
    await page.get_by_label("Preset").select_option("square")
    words = page.locator("#preset-words")
    await expect(words).to_contain_text("Makes 1 file of each image.")
    await expect(words).to_contain_text(
        "1,000 \N{MULTIPLICATION SIGN} 1,000, cropped to fill, JPEG"
    )


async def test_a_pasted_picture_is_sent_too(page: Page, server: ServerProcess) -> None:
    await open_start(page, server)
    await page.evaluate(
        """() => {
          const clipboardData = new DataTransfer();
          clipboardData.items.add(new File(["x"], "image.png", { type: "image/png" }));
          const paste = new ClipboardEvent("paste", { clipboardData, bubbles: true });
          document.body.dispatchEvent(paste);
        }"""
    )
    await expect(page.get_by_role("button", name="Start with 1 image")).to_be_enabled()


async def test_an_address_that_is_dropped_is_one_to_be_fetched(
    page: Page, server: ServerProcess
) -> None:
    await open_start(page, server)
    transfer = await page.evaluate_handle(
        """() => {
          const transfer = new DataTransfer();
          transfer.setData("text/uri-list", "https://example.com/beach.jpg");
          return transfer;
        }"""
    )
    await page.dispatch_event(".zone", "drop", {"dataTransfer": transfer})
    await expect(page.get_by_label("Addresses, one a line")).to_have_value(
        "https://example.com/beach.jpg"
    )
    await expect(page.get_by_role("button", name="Start with 1 image")).to_be_enabled()


async def test_a_file_that_falls_beside_the_form_does_not_take_the_page_away(
    page: Page, server: ServerProcess
) -> None:
    await page.goto(f"{server.url}/#/nowhere")
    dropped = await page.locator("main").evaluate(
        """main => {
          const options = { bubbles: true, cancelable: true, dataTransfer: new DataTransfer() };
          return ["dragover", "drop"].map(name => main.dispatchEvent(new DragEvent(name, options)));
        }"""
    )
    assert dropped == [False, False]  # the browser's own way was prevented


async def test_a_report_is_a_table_of_all_images(page: Page, server: ServerProcess) -> None:
    await submit(page, server, {"a.jpg": make_jpeg()})
    await shown_state(page, "Finished")
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Report").click()
    report = (await (await download.value).path()).read_text()
    assert "a-thumbnail.webp" in report


async def test_commands_to_copy_are_seen_whole(page: Page, server: ServerProcess) -> None:
    await page.goto(f"{server.url}/docs")
    hidden = "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth).length"
    for width in (360, 1280):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await page.locator("pre").evaluate_all(hidden) == 0
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
