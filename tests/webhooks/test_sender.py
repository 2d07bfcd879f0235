"""Whatever a receiver does, sending ends, and says what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from imgsvc.domain.webhook import DeliveryError
from imgsvc.webhooks.schedule import Answer
from imgsvc.webhooks.sender import Sender, open_sender
from tests.receivers import Receiver

NOW_S = 1_000_000_000.0  # Sun, 09 Sep 2001 01:46:40 GMT


async def send(sender: Sender, url: str, body: str = "{}") -> Answer:
    return await sender.send(url, {"webhook-id": "a"}, body, NOW_S)


async def test_a_message_is_posted_as_json_with_its_headers(
    sender: Sender, receiver: Receiver
) -> None:
    answer = await send(sender, f"{receiver.url}/hook?key=1", '{"a":1}')
    assert answer == Answer(204)
    (message,) = receiver.messages
    assert (message.path, message.body) == ("/hook", b'{"a":1}')
    assert message.headers["content-type"] == "application/json"
    assert message.headers["content-length"] == "7"
    assert message.headers["webhook-id"] == "a"
    assert message.headers["user-agent"].startswith("imgsvc/")


async def test_a_large_message_arrives_whole(sender: Sender, receiver: Receiver) -> None:
    body = "x" * (4 << 20)
    assert await send(sender, receiver.url, body) == Answer(204)
    assert receiver.messages[0].body == body.encode()


async def test_a_redirect_is_told_and_not_followed(sender: Sender, receiver: Receiver) -> None:
    receiver.will(307, Location=f"{receiver.url}/elsewhere")
    assert await send(sender, receiver.url) == Answer(307, DeliveryError.REDIRECTED)
    assert len(receiver.messages) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0), ("Sun, 09 Sep 2001 01:47:40 GMT", 60.0), ("soon", None),
    ],
)  # fmt: skip
async def test_how_long_to_wait_is_read_in_seconds_or_as_a_date(
    sender: Sender, receiver: Receiver, value: str, seconds: float | None
) -> None:
    receiver.will(503, Retry_After=value)
    assert await send(sender, receiver.url) == Answer(503, DeliveryError.HTTP_STATUS, seconds)


async def test_an_answer_without_end_is_not_read(sender: Sender, receiver: Receiver) -> None:
    async def pour(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1 << 16))

    receiver.answers.append(pour)
    async with asyncio.timeout(4):
        assert await send(sender, receiver.url) == Answer(200)


async def test_a_receiver_that_never_answers_is_given_up(receiver: Receiver) -> None:
    async def be_silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    receiver.answers.append(be_silent)
    async with open_sender(allow_private=True, timeout_s=0.05, connections=1) as hasty:
        assert await send(hasty, receiver.url) == Answer(None, DeliveryError.TIMEOUT)


@pytest.fixture
async def babbler() -> AsyncIterator[Any]:
    """A server that answers what it is told to, which need not be HTTP."""
    said: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said[0])
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield said, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "said",
    [
        b"", b"220 mail.example ESMTP\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"\x00" * 100,
        b"HTTP/1.1 200 OK\r\nBad\xff Header\r\n\r\n", b"HTTP/1.1 99999 ?\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_a_connection_that_failed(
    sender: Sender, babbler: Any, said: bytes
) -> None:
    babbler[0].append(said)
    answer = await send(sender, f"http://{babbler[1]}/")
    assert answer == Answer(None, DeliveryError.CONNECTION_FAILED)


async def test_a_port_where_nobody_listens_is_a_connection_that_failed(
    sender: Sender, unused_tcp_port: int
) -> None:
    answer = await send(sender, f"http://127.0.0.1:{unused_tcp_port}/")
    assert answer == Answer(None, DeliveryError.CONNECTION_FAILED)


async def test_a_server_that_does_not_speak_tls_is_told(sender: Sender, receiver: Receiver) -> None:
    answer = await send(sender, receiver.url.replace("http:", "https:"))
    assert answer == Answer(None, DeliveryError.TLS_FAILED)


@pytest.mark.parametrize(
    "url",
    ["http://" + "a" * 70 + ".example/", "http://x..example/", "http://.example/"],
)
async def test_a_name_that_cannot_be_one_is_a_failure_like_any(sender: Sender, url: str) -> None:
    answer = await send(sender, url)
    assert answer.error in (DeliveryError.CONNECTION_FAILED, DeliveryError.BLOCKED)


async def test_an_address_inside_is_not_asked_unless_that_is_allowed(receiver: Receiver) -> None:
    async with open_sender(allow_private=False, timeout_s=5, connections=1) as guarded:
        for url in (receiver.url, receiver.url.replace("127.0.0.1", "localhost"), "http://[::1]/"):
            assert await send(guarded, url) == Answer(None, DeliveryError.BLOCKED)
    assert receiver.messages == []
