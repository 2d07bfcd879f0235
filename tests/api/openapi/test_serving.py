"""The description as it is asked for."""

from __future__ import annotations

import pytest

from imgsvc.api.openapi.document import build_document
from tests.api.openapi.test_page import BASE, Outline
from tests.servers import Running, get_json, make_settings, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("path", "kind"), [("/openapi.json", "application/json"), ("/docs", "text/html")]
)
async def test_it_is_sent_once_and_asked_for_again_in_vain(
    server: Running, path: str, kind: str
) -> None:
    async with server.http.get(path) as answer:
        assert (answer.status, answer.content_type) == (200, kind)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-cache"
        etag = answer.headers["ETag"]
    for known, status in {etag: 304, '"other"': 200, "*": 304, f'"other", {etag}': 304}.items():
        async with server.http.get(path, headers={"If-None-Match": known}) as answer:
            assert (answer.status, answer.headers["ETag"]) == (status, etag)


async def test_a_browser_is_told_to_run_and_load_nothing(server: Running) -> None:
    async with server.http.get("/docs") as answer:
        policy = answer.headers["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy
    assert "script-src" not in rules


async def test_what_is_served_is_of_this_servers_limits(server: Running) -> None:
    document = await get_json(server, "/openapi.json")
    assert document == build_document(server.core.settings.limits)
    most = server.core.settings.limits.max_images_per_job
    assert document["components"]["schemas"]["JobSpec"]["properties"]["images"]["maxItems"] == most


async def test_behind_another_address_commands_name_that(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    settings = make_settings(tmp_path_factory.mktemp("data"), server={"base_url": f"{BASE}/api/"})
    async with running_server(settings) as server, server.http.get("/docs") as answer:
        commands = Outline(await answer.text()).commands
    assert all(f"{BASE}/api/" in command for command in commands)
