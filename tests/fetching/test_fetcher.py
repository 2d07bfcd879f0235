"""One image from one host, and every way in which that goes wrong."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.config import FetchSettings
from imgsvc.domain.ids import new_id
from imgsvc.errors import ImageErrorCode
from imgsvc.fetching import fetcher as fetcher_module
from imgsvc.fetching.breakers import FAILURES, Breakers
from imgsvc.fetching.fetcher import Fetcher
from imgsvc.fetching.unfetched import LedOn, Unfetched
from imgsvc.fetching.url_images import blocked
from imgsvc.fetching.ways import Way
from imgsvc.net.guard import Bar, Guard, host_of
from tests.fetching.hosts import Act, Host, answer, hang_up, redirect
from tests.pictures import make_jpeg, make_svg

PICTURE = make_jpeg(64, 48)
MAX_BYTES = 100_000

Fetch = Callable[..., Awaitable[bytes]]


@asynccontextmanager
async def fetching(blobs: BlobStore, **settings: Any) -> AsyncIterator[Fetch]:
    """A function that fetches a URL, from whichever hosts it leads to: its bytes."""
    wanted = FetchSettings(**{"allow_private": True, **settings})
    fetcher = Fetcher(wanted, Breakers(), max_image_bytes=MAX_BYTES)
    stage = blobs.stage(new_id())

    async def fetch(url: str) -> bytes:
        file, way = stage.new_file(), Way(url)
        host = host_of(URL(url))
        try:
            while True:
                try:
                    await fetcher.fetch(way, host, file)
                    break
                except LedOn as exc:
                    host = exc.host
        except BaseException:
            await file.abort()
            assert not file.path.exists()
            raise
        await file.finish()
        return file.path.read_bytes()

    try:
        yield fetch
    finally:
        await fetcher.close()


@pytest.fixture
async def fetch(blobs: BlobStore) -> AsyncIterator[Fetch]:
    async with fetching(blobs) as function:
        yield function


async def why(fetch: Fetch, url: str) -> tuple[str, bool]:
    """The failure's code, and whether another try may fare better."""
    with pytest.raises(Unfetched) as caught:
        await fetch(url)
    assert caught.value.failure.message.endswith(".")
    return caught.value.failure.code, caught.value.passes


FINAL = (ImageErrorCode.FETCH_FAILED, False)
PASSING = (ImageErrorCode.FETCH_FAILED, True)
BLOCKED = (ImageErrorCode.FETCH_BLOCKED, False)
TIMEOUT = (ImageErrorCode.FETCH_TIMEOUT, True)
NOT_IMAGE = (ImageErrorCode.FETCH_NOT_IMAGE, False)


@pytest.mark.parametrize("media_type", ["image/jpeg", "application/octet-stream", None])
@pytest.mark.parametrize("length", [-1, None])
async def test_what_stands_there_is_fetched(
    fetch: Fetch, host: Host, media_type: str | None, length: int | None
) -> None:
    host.answers["/a.jpg?size=%20big"] = answer(PICTURE, media_type, length=length)
    assert await fetch(host.url("/a.jpg?size=%20big")) == PICTURE


async def test_a_chunked_body_is_put_together(fetch: Fetch, host: Host) -> None:
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in PICTURE) + b"0\r\n\r\n"
    host.answers["/"] = answer(body, length=None, Transfer_Encoding="chunked")
    assert await fetch(host.url()) == PICTURE


async def test_the_host_learns_who_asks_and_nothing_else(fetch: Fetch, host: Host) -> None:
    host.answers["/"] = answer(PICTURE, Set_Cookie="remember=me")
    for _ in range(2):
        await fetch(host.url())
    lines = [line.lower() for request in host.requests for line in request.split("\r\n")]
    assert {line.partition(":")[0] for line in lines if ":" in line} == {
        "host", "user-agent", "accept", "accept-encoding",
    }  # fmt: skip
    assert "accept-encoding: identity" in lines


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(b"<html>", "text/html"), NOT_IMAGE),
        (answer(b"{}", "application/json"), NOT_IMAGE),
        (answer(b"<html>not at all a picture</html>" * 9, "image/jpeg"), NOT_IMAGE),
        (answer(b"short", None), NOT_IMAGE),
        (answer(make_svg(), "image/svg+xml"), NOT_IMAGE),
        (answer(b"", "image/jpeg"), (ImageErrorCode.EMPTY_IMAGE, False)),
        (answer(status=204), (ImageErrorCode.EMPTY_IMAGE, False)),
        (answer(status=404), FINAL),
        (answer(status=410), FINAL),
        (answer(status=503), PASSING),
        (answer(status=429), PASSING),
        (answer(gzip.compress(PICTURE, mtime=0), Content_Encoding="gzip"), FINAL),
        (answer(PICTURE, length=MAX_BYTES + 1), (ImageErrorCode.TOO_MANY_BYTES, False)),
        (answer(PICTURE + bytes(MAX_BYTES), length=None), (ImageErrorCode.TOO_MANY_BYTES, False)),
        (answer(PICTURE, length=len(PICTURE) + 1), PASSING),
        (answer(b"5\r\nabc", length=None, Transfer_Encoding="chunked"), PASSING),
        (answer(b"zz\r\nabc", length=None, Transfer_Encoding="chunked"), PASSING),
        (b"", PASSING),
        (b"HTTP/1.1 200 OK\r\nContent-Le", PASSING),
        (b"SSH-2.0-OpenSSH_9.6\r\n", PASSING),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", PASSING),
        (hang_up, PASSING),
        (redirect(""), FINAL),
        (redirect("ftp://127.0.0.1/a.jpg"), BLOCKED),
        (redirect("http://user:word@127.0.0.1/"), BLOCKED),
        (redirect("http://[::1/"), BLOCKED),
        (redirect("http://].[a@"), BLOCKED),
    ],
)
async def test_what_brings_no_image(
    fetch: Fetch, host: Host, reply: bytes | Act, expected: tuple[str, bool]
) -> None:
    host.answers["/"] = reply
    assert await why(fetch, host.url()) == expected


async def test_a_host_that_is_not_there_may_come_back(fetch: Fetch, unused_tcp_port: int) -> None:
    assert await why(fetch, f"http://127.0.0.1:{unused_tcp_port}/a.jpg") == PASSING


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..example"])
async def test_what_is_no_name_is_blocked(fetch: Fetch, name: str) -> None:
    assert await why(fetch, f"http://{name}/") == BLOCKED


async def test_no_message_says_where_a_name_led(fetch: Fetch, unused_tcp_port: int) -> None:
    with pytest.raises(Unfetched) as caught:
        await fetch(f"http://localhost:{unused_tcp_port}/a.jpg")
    assert "127.0.0.1" not in caught.value.failure.message


async def test_redirects_are_followed_from_host_to_host(
    fetch: Fetch, host: Host, other_host: Host
) -> None:
    host.answers["/a/b?c"] = redirect("../d e.jpg#part")
    host.answers["/d%20e.jpg"] = redirect(f"//127.0.0.2:{other_host.port}/f.jpg", 308)
    other_host.answers["/f.jpg"] = answer(PICTURE)
    assert await fetch(host.url("/a/b?c")) == PICTURE


async def test_redirects_come_to_an_end(blobs: BlobStore, host: Host) -> None:
    host.answers["/"] = redirect("/")
    host.answers["/1"] = redirect("/2")
    host.answers["/2"] = answer(PICTURE)
    async with fetching(blobs, max_redirects=5) as fetch:
        assert await why(fetch, host.url()) == FINAL
    assert len(host.asked) == 6
    async with fetching(blobs, max_redirects=0) as fetch:
        assert await why(fetch, host.url("/1")) == FINAL
        assert await fetch(host.url("/2")) == PICTURE


@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:{port}/", "http://[::1]:{port}/", "http://169.254.169.254/"]
)
async def test_no_redirect_leads_inside(
    blobs: BlobStore, host: Host, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """The first host counts as one outside: the network beyond the machine is stood in for."""
    outside = host.url("/")
    host.answers["/"] = redirect(target.format(port=host.port))
    first = iter([True])
    check = Guard.check_address

    def check_later_ones(self: Any, address: str) -> None:
        if not next(first, False):
            check(self, address)

    monkeypatch.setattr(Guard, "check_address", check_later_ones)
    async with fetching(blobs, allow_private=False) as fetch:
        assert await why(fetch, outside) == BLOCKED
    assert len(host.asked) == 1


async def test_only_allowed_hosts_are_asked_redirects_and_all(
    blobs: BlobStore, host: Host, other_host: Host
) -> None:
    host.answers["/"] = redirect(other_host.url())
    other_host.answers["/"] = answer(PICTURE)
    async with fetching(blobs, allowed_hosts=("127.0.0.1",)) as fetch:
        for url in (other_host.url(), host.url()):
            with pytest.raises(Unfetched) as caught:
                await fetch(url)
            assert caught.value.failure == blocked(Bar.HOST)
    assert other_host.asked == []


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "[::1]"])
async def test_addresses_inside_are_not_asked(blobs: BlobStore, host: Host, address: str) -> None:
    async with fetching(blobs, allow_private=False) as fetch:
        with pytest.raises(Unfetched) as caught:
            await fetch(f"http://{address}:{host.port}/")
    assert caught.value.failure == blocked(Bar.ADDRESS)
    assert host.asked == []


async def test_a_name_that_leads_nowhere_may_come_to_lead_somewhere(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    assert await why(fetch, "http://example.invalid/a.jpg") == PASSING


def dripping(body: bytes) -> Act:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(length=1000))
        while True:
            writer.write(body)
            await writer.drain()
            await asyncio.sleep(0.01)

    return drip


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\n", answer(length=10)])
async def test_a_host_that_falls_silent_is_left_at_the_deadline(
    blobs: BlobStore, host: Host, reply: bytes
) -> None:
    async def stay_silent(writer: asyncio.StreamWriter) -> None:
        writer.write(reply)
        await writer.drain()
        await asyncio.Event().wait()

    host.answers["/"] = stay_silent
    async with fetching(blobs, total_timeout_s=0.1) as fetch:
        assert await why(fetch, host.url()) == TIMEOUT


async def test_redirects_share_the_deadline(blobs: BlobStore, host: Host) -> None:
    async def redirect_slowly(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(redirect("/"))

    host.answers["/"] = redirect_slowly
    async with fetching(blobs, total_timeout_s=0.25, max_redirects=100) as fetch:
        assert await why(fetch, host.url()) == TIMEOUT
    assert len(host.asked) < 5


@pytest.mark.parametrize(
    ("limit", "value"), [("STALL_S", 0.05), ("SLOW_AFTER_S", 0.05)], ids=["stalls", "drips"]
)
async def test_a_body_that_hardly_moves_is_given_up_before_the_deadline(
    fetch: Fetch, host: Host, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(fetcher_module, limit, value)
    host.answers["/"] = dripping(b"" if limit == "STALL_S" else b"\xff")
    async with asyncio.timeout(30):
        assert await why(fetch, host.url()) == TIMEOUT


async def test_an_answer_that_is_only_ever_announced_ends_at_the_deadline(
    blobs: BlobStore, host: Host
) -> None:
    async def announce(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()

    host.answers["/"] = announce
    async with fetching(blobs, total_timeout_s=0.25) as fetch, asyncio.timeout(30):
        assert await why(fetch, host.url()) == TIMEOUT


async def test_a_body_without_end_ends_at_the_limit(
    fetch: Fetch, host: Host, tmp_path: Path
) -> None:
    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(PICTURE, length=None))
        while True:
            writer.write(bytes(60_000))
            await writer.drain()

    host.answers["/"] = pour
    assert await why(fetch, host.url()) == (ImageErrorCode.TOO_MANY_BYTES, False)


async def test_a_host_that_keeps_failing_is_not_asked(
    fetch: Fetch, host: Host, other_host: Host
) -> None:
    host.answers["/"] = answer(status=503)
    other_host.answers["/"] = answer(PICTURE)
    other_host.answers["/elsewhere"] = redirect(host.url())
    for _ in range(FAILURES + 2):
        assert await why(fetch, host.url()) == PASSING
    assert len(host.asked) == FAILURES
    assert await why(fetch, other_host.url("/elsewhere")) == PASSING
    assert len(host.asked) == FAILURES
    assert await fetch(other_host.url()) == PICTURE


async def test_failures_count_against_who_failed(
    fetch: Fetch, host: Host, other_host: Host
) -> None:
    host.answers["/"] = redirect(other_host.url())
    host.answers["/a.jpg"] = answer(PICTURE)
    other_host.answers["/"] = answer(status=503)
    for _ in range(FAILURES + 1):
        assert await why(fetch, host.url()) == PASSING
    assert (len(other_host.asked), len(host.asked)) == (FAILURES, FAILURES + 1)
    assert await fetch(host.url("/a.jpg")) == PICTURE


async def test_refusals_and_pages_are_no_failures_of_the_host(fetch: Fetch, host: Host) -> None:
    host.answers["/page"] = answer(b"<html>", "text/html")
    for _ in range(6):
        assert await why(fetch, host.url("/gone")) == FINAL
        assert await why(fetch, host.url("/page")) == NOT_IMAGE
    assert len(host.asked) == 12
