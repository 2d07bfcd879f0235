"""The web page in a real browser, against a real server in a process of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.server_process import ServerProcess

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_MS = 20_000
"""How long anything may take on a machine with much else to do."""

_WANTED = "Failed to load resource", "WebSocket connection to", "net::ERR", "'TrustedHTML'"
"""What a browser says of requests that fail, and of markup, as some tests want them to."""

expect.set_options(timeout=PATIENCE_MS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    async with async_playwright() as playwright:
        # Its sandbox needs what a container may not have, and all that it loads is our own. With
        # the one font of our texts, which tests of these leave in the environment, it breaks down.
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu"],
            env={name: text for name, text in os.environ.items() if name != "FONTCONFIG_FILE"},
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    server = await asyncio.to_thread(ServerProcess, tmp_path_factory.mktemp("data"))
    yield server
    await asyncio.to_thread(server.stop)


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A browser of its own for each test, which must find no fault with the page."""
    faults: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(
            each in message.text for each in _WANTED
        ):
            faults.append(message.text)

    context = await browser.new_context(
        viewport={"width": 1280, "height": 800}, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: faults.append(f"{error}\n{error.stack}"))
    yield page
    await context.close()
    assert faults == []
