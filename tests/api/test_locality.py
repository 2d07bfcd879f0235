"""No web page reaches a local server."""

from __future__ import annotations

import aiohttp
import pytest

from imgsvc.api.locality import host_name, is_served
from imgsvc.config import ServerSettings
from tests.pictures import make_jpeg
from tests.servers import Running, form_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:8080", "10.0.0.1", ""]
)
async def test_a_foreign_host_is_not_served(server: Running, host: str) -> None:
    async with server.http.get("/api/v1/jobs", headers={"Host": host}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (421, "host_not_allowed")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1:1", "[::1]:8080"])
async def test_the_machines_own_names_are_served(server: Running, host: str) -> None:
    async with server.http.get("/livez", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_an_unsafe_request_of_another_site_is_forbidden(
    server: Running, headers: dict[str, str]
) -> None:
    form = form_of(("a.jpg", make_jpeg(20, 20)))
    async with server.http.post("/api/v1/jobs", data=form, headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (403, "forbidden")
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await server.http.ws_connect("/api/v1/events", headers=headers)
    assert caught.value.status == 403


async def test_the_servers_own_page_may_do_everything(server: Running) -> None:
    headers = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    form = form_of(("a.jpg", make_jpeg(20, 20)))
    async with server.http.post("/api/v1/jobs", data=form, headers=headers) as answer:
        assert answer.status == 202
    async with server.http.ws_connect("/api/v1/events", headers=headers) as socket:
        assert (await socket.receive_json())["type"] == "snapshot"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Example.com:80", "example.com"),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[::1]"),
        ("[FD00:0:0::1]:80", "[fd00::1]"),
        ("[name]:80", "[name]"),
        ("[", ""),
        ("localhost.", "localhost"),
        ("", ""),
    ],
)
async def test_the_name_is_taken_out_of_a_host_header(header: str, name: str) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize("bound", ["0.0.0.0", "::", "0", "", "[::]"])  # noqa: S104 - nobody listens there
@pytest.mark.parametrize(
    ("host", "expected"),
    [("10.0.0.1:8080", True), ("[fe80::1]:8080", True), ("evil.example", False), ("", False)],
)
async def test_bound_to_all_addresses_any_address_is_served_and_no_name(
    bound: str, host: str, expected: bool
) -> None:
    assert is_served(host, ServerSettings(host=bound, allow_anonymous=True)) is expected
