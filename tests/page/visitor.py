"""What somebody does with the page, as the tests of it do."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from playwright.async_api import Page, expect

from tests.server_process import ServerProcess

DROP = """files => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) {
    const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  return transfer;
}"""


async def open_start(page: Page, server: ServerProcess) -> None:
    await page.goto(server.url)
    await expect(page.get_by_label("Preset")).to_have_value("standard")


async def drop(page: Page, files: Mapping[str, bytes]) -> None:
    """Let files fall on the page."""
    encoded = [(name, base64.b64encode(content).decode()) for name, content in files.items()]
    transfer = await page.evaluate_handle(DROP, encoded)
    await page.dispatch_event(".zone", "drop", {"dataTransfer": transfer})
    await expect(page.locator(".chosen strong")).to_be_visible()


async def start(page: Page) -> str:
    """Begin the job of what was chosen; its id, once its page is there."""
    await page.get_by_role("button", name="Start").click()
    await page.wait_for_url("**/#/jobs/*")
    await expect(page.locator(".status h1")).to_be_visible()
    return page.url.rpartition("/")[2]


async def submit(page: Page, server: ServerProcess, files: Mapping[str, bytes]) -> str:
    await open_start(page, server)
    await drop(page, files)
    return await start(page)


async def shown_state(page: Page, state: str) -> None:
    await expect(page.locator(".status .state")).to_have_text(state)


async def all_shown(page: Page) -> None:
    """What the page has been answered by now is seen: it draws at most once a frame."""
    frame = "new Promise((resolve) => requestAnimationFrame(resolve))"
    for _ in range(2):
        await page.evaluate(frame)


def begin_job(server: ServerProcess, files: Mapping[str, bytes]) -> str:
    """An open job with these images, made without the page: its id. Blocking."""
    job_id = str(server.post("/api/v1/jobs", {"open": True, "preset": "thumbnail"})["id"])
    append(server, job_id, files)
    return job_id


def append(server: ServerProcess, job_id: str, files: Mapping[str, bytes]) -> None:
    """Blocking."""
    images = [
        {"name": name, "data": base64.b64encode(data).decode()} for name, data in files.items()
    ]
    server.post(f"/api/v1/jobs/{job_id}/images", {"images": images})


def get_json(server: ServerProcess, path: str) -> Any:
    """Blocking."""
    with urllib.request.urlopen(server.url + path) as answer:  # noqa: S310  (our own URL)
        return json.load(answer)


def summary_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """What messages say of a job, but the first and the last."""
    told = ("id", "status", "total", "completed", "failed", "cancelled", "progress", "eta_s")
    return {key: job[key] for key in told}


def delete(server: ServerProcess, job_id: str) -> None:
    """Blocking."""
    url = f"{server.url}/api/v1/jobs/{job_id}"
    request = urllib.request.Request(url, method="DELETE")  # noqa: S310  (our own URL)
    urllib.request.urlopen(request).close()  # noqa: S310


def names_of(server: ServerProcess, job_id: str) -> Sequence[str]:
    """Blocking."""
    images = get_json(server, f"/api/v1/jobs/{job_id}/images")["items"]
    return [image["name"] for image in images]
