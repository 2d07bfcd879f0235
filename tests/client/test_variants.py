"""Nothing that a server says becomes a path before it was looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from imgsvc.client import Client, ClientError
from imgsvc.client.variants import check_outputs, variants_of

WEB = {"name": "web", "format": "webp"}


def recipe(*variants: dict[str, str]) -> dict[str, Any]:
    return {"variants": list(variants)}


def test_a_variant_without_a_format_keeps_the_inputs() -> None:
    assert variants_of(recipe(WEB, {"name": "as-is"})) == [("web", "webp"), ("as-is", "same")]


@pytest.mark.parametrize("name", ["x/../../evil", "..", "", "a\n", "a" * 41])
def test_a_name_that_no_recipe_can_have_is_refused(name: str) -> None:
    with pytest.raises(ClientError, match="variant"):
        variants_of(recipe(WEB, {"name": name, "format": "webp"}))


@pytest.mark.parametrize("format_", ["exe", "webp/../../evil"])
def test_a_format_that_is_not_known_is_refused(format_: str) -> None:
    with pytest.raises(ClientError, match="variant"):
        variants_of(recipe({"name": "web", "format": format_}))


@pytest.mark.parametrize("output", [("other", "webp"), ("web", "exe"), ("web", "same")])
def test_an_output_that_was_not_asked_for_is_refused(output: tuple[str, str]) -> None:
    variant, format_ = output
    with pytest.raises(ClientError, match="not asked for"):
        check_outputs([{"variant": variant, "format": format_}], [("web", "webp")])


@pytest.fixture
async def hostile() -> AsyncIterator[str]:
    """The URL of a server whose job would be saved beside the folder for results."""
    variants = [WEB, {"name": "x/../../evil", "format": "webp"}]
    output = {"variant": "x/../../evil", "format": "webp", "size_bytes": 1, "sha256": "0"}
    image = {"index": 0, "name": "a.png", "outputs": [output]}

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/images"):
            return web.json_response({"items": [image], "next_cursor": None})
        return web.json_response({"id": "1", "total": 1, "recipe": recipe(*variants)})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def test_a_hostile_server_chooses_no_place_for_a_download(
    hostile: str, tmp_path: Path
) -> None:
    async with Client(hostile) as client:
        with pytest.raises(ClientError, match="cannot be"):
            await client.download("1", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
