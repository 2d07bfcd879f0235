"""What Prometheus reads of a server: formats, requests, and labels that do not multiply."""

from __future__ import annotations

import asyncio
import json
import platform
from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from imgsvc import __version__
from imgsvc.api.metrics import prefers_plain
from imgsvc.api.traffic import Traffic
from imgsvc.domain.ids import new_id
from imgsvc.telemetry.metrics import Metrics
from tests.metrics_page import Page, read_page
from tests.pictures import make_jpeg
from tests.servers import Running, get_json, submit

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PICTURE = make_jpeg(64, 48)
ROUTE_OF_FILES = "/api/v1/jobs/{id}/images/{index}/outputs/{variant}"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("accept", [None, "*/*", PROMETHEUS, "application/json", "text/html;q=x"])
async def test_openmetrics_is_what_everybody_gets(server: Running, accept: str | None) -> None:
    headers = {} if accept is None else {"Accept": accept}
    skipped = () if accept else ("Accept",)
    async with server.http.get("/metrics", headers=headers, skip_auto_headers=skipped) as answer:
        kind = "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert (answer.headers["Content-Type"], answer.headers["Vary"]) == (kind, "Accept")
        text = await answer.text()
    assert text.endswith("# EOF\n")
    build = {"version": __version__, "python": platform.python_version()}
    assert Page(text).value("build_info", **build) == 1


async def test_who_asks_for_the_plain_format_gets_that(server: Running) -> None:
    headers = {"Accept": "text/plain;version=0.0.4;q=1,*/*;q=0.1"}
    async with server.http.get("/metrics", headers=headers) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = await answer.text()
    assert "# EOF" not in text
    assert Page(text, parse_plain).value("queue_jobs") == 0


@pytest.mark.parametrize(
    ("accept", "plain"),
    [
        ("", False),
        ("text/plain", True),
        ("TEXT/Plain ; Q=0.9, application/openmetrics-text;q=0.8", True),
        ("text/plain;q=0.8, application/openmetrics-text", False),
        ("text/plain, application/openmetrics-text", False),
        ("text/plain;q=0", False),
        ("text/*;q=0.5, application/openmetrics-text;q=0", True),
        ("text/html, */*;q=0.8", False),
        ("application/openmetrics-text;q=0, */*", True),
        ("application/openmetrics-text;q=0.5, */*;q=0.8", True),
        ("text/plain;q=0.5, */*;q=0.8", False),
        (";;,=,q=1", False),
    ],
)
async def test_the_better_liked_format_is_taken(accept: str, plain: bool) -> None:
    assert prefers_plain(accept) is plain


async def test_the_page_is_asked_for_as_any_other(server: Running) -> None:
    async with server.http.head("/metrics") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    async with server.http.post("/metrics") as answer:
        assert (answer.status, (await answer.json())["code"]) == (405, "method_not_allowed")
    problem = await get_json(server, "/metrics?name=imgsvc_images", 422)
    assert [error["pointer"] for error in problem["errors"]] == ["/name"]
    async with server.http.get("/metrics", headers={"Host": "rebound.example"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (421, "host_not_allowed")


async def test_requests_are_counted_by_route_with_what_came_and_went(server: Running) -> None:
    picture = make_jpeg(1600, 1200)
    before = await read_page(server)
    job = await submit(server, ("a.jpg", picture), preset="compress")
    output = f"{job['links']['images']}/0/outputs/compress"
    size_bytes = 0
    for _ in range(100):
        async with server.http.get(output) as answer:
            size_bytes += len(await answer.read())
    async with server.http.head(output) as answer:
        assert answer.status == 200
    await get_json(server, f"{job['links']['self']}/nothing", 404)
    page = await read_page(server)

    def rise(name: str, **labels: str) -> float:
        try:
            return page.value(name, **labels) - before.value(name, **labels)
        except KeyError:
            return page.value(name, **labels)

    route = ROUTE_OF_FILES
    assert rise("http_requests_total", method="POST", route="/api/v1/jobs", status="200") == 1
    assert rise("http_requests_total", method="GET", route=route, status="200") == 100
    assert rise("http_requests_total", method="HEAD", route=route, status="200") == 1
    assert rise("http_requests_total", method="GET", route="unknown", status="404") == 1
    assert rise("http_request_seconds_count", method="GET", route=route) == 100
    assert rise("http_requests_total", method="GET", route="/metrics", status="200") == 1
    assert page.value("http_requests_in_progress") == 1  # this one
    assert page.value("http_connections") >= 1
    assert len(picture) < rise("http_received_bytes_total") < len(picture) + 2000
    others_bytes = 5 * 1000 + len(before.text)
    heads_bytes = 100 * 1000
    assert size_bytes > heads_bytes + 2 * others_bytes
    sent_bytes = rise("http_sent_bytes_total")
    assert size_bytes < sent_bytes < size_bytes + heads_bytes + 2 * others_bytes


async def test_a_file_of_which_a_client_has_had_enough_is_broken_off(server: Running) -> None:
    variant = {"name": "large", "width": 3000, "enlarge": True, "format": "png", "effort": 0}
    recipe = {"variants": [variant]}
    job = await submit(server, ("a.jpg", PICTURE), spec=json.dumps({"recipe": recipe}))
    image = (await get_json(server, job["links"]["images"]))["items"][0]
    assert image["outputs"][0]["size_bytes"] > 16 << 20  # more than sockets hold
    labels = {"method": "GET", "route": ROUTE_OF_FILES}
    before = (await read_page(server)).by("status", "http_requests_total", **labels)
    async with server.http.get(image["outputs"][0]["url"]) as answer:
        await answer.content.readexactly(1000)
        answer.close()
    while True:
        after = (await read_page(server)).by("status", "http_requests_total", **labels)
        if after != before:
            break
    assert after == {**before, "broken_off": 1}


async def test_nothing_that_a_client_names_makes_a_series(server: Running) -> None:
    async def ask(name: str) -> None:
        for method in ("GET", "PUT", "DELETE", "PROPFIND"):
            for path in (f"/{name}", f"/api/v1/jobs/{new_id()}", f"/api/v1/presets/{name}"):
                async with server.http.request(method, path) as answer:
                    await answer.read()
        await submit(server, (f"{name}.jpg", PICTURE), preset="thumbnail", label=name)

    for name in ("first", "next"):  # of which outputs are reused
        await ask(name)
    await read_page(server)  # is a request, too, which the next page counts
    before = await read_page(server)
    await ask("second")
    page = await read_page(server)
    assert page.series == before.series
    assert not [value for value in page.label_values if "second" in value or "127.0.0.1" in value]


async def test_a_request_that_is_never_answered_is_counted_as_that() -> None:
    metrics = Metrics("1")
    with (
        pytest.raises(asyncio.CancelledError),
        Traffic(metrics).watching(make_mocked_request("BREW", "/pot", writer=Mock(output_size=0))),
    ):
        raise asyncio.CancelledError
    text, _ = await asyncio.to_thread(metrics.expose, plain=False)
    page = Page(text.decode())
    labels = {"method": "other", "route": "unknown", "status": "broken_off"}
    assert page.value("http_requests_total", **labels) == 1
    assert page.value("http_requests_in_progress") == 0
