"""What no HTTP library would send is answered as a problem too, and hurts nobody."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from imgsvc.api import bodies
from imgsvc.intake import patient_reader
from tests.servers import Running, get_json

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = b"Host: localhost\r\n"
POST = b"POST /api/v1/jobs HTTP/1.1\r\n" + HOST


async def exchange(server: Running, sent: bytes) -> tuple[int, dict[str, str], Any]:
    """Send bytes as they are; returns status, headers and the parsed body of the answer."""
    url = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value
            for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(body)
    finally:
        writer.close()


MALFORMED = {
    "no request line": b"GARBAGE\r\n\r\n",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown method": b"FROB / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header without a colon": b"GET /livez HTTP/1.1\r\n" + HOST + b"bad header\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /livez HTTP/1.1\r\n" + HOST + b"Host: evil.example\r\n\r\n",
    "a length in letters": POST + b"Content-Length: abc\r\n\r\n",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a length beside chunks": POST
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an unknown transfer coding": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "a chunk without a length": POST
    + b"Content-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "an address of 20 kB": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a header of 20 kB": b"GET /livez HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
    "an address cut off": b"GET http://[/livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "an unknown expectation": b"GET /livez HTTP/1.1\r\n" + HOST + b"Expect: magic\r\n\r\n",
    "a WebSocket of another version": b"GET /api/v1/events HTTP/1.1\r\n"
    + HOST
    + b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 1\r\n"
    + b"Sec-WebSocket-Key: x\r\n\r\n",
    "a body that is not the gzip it says": POST
    + b"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_not_http_is_a_malformed_request(server: Running, sent: bytes) -> None:
    status, headers, problem = await exchange(server, sent)
    assert (status, problem["code"], problem["status"]) == (400, "malformed_request", 400)
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"]
    assert await get_json(server, "/livez") == {"status": "ok"}


@pytest.mark.parametrize("coding", [b"foo", b"br"])
async def test_a_coding_that_cannot_be_undone_is_an_unsupported_media_type(
    server: Running, coding: bytes
) -> None:
    sent = POST + b"Content-Type: application/json\r\nContent-Encoding: " + coding + b"\r\n"
    status, _, problem = await exchange(server, sent + b"Content-Length: 2\r\n\r\n{}")
    assert (status, problem["code"]) == (415, "unsupported_media_type")


async def test_another_method_is_told_which_there_are(server: Running) -> None:
    sent = b"OPTIONS /api/v1/jobs HTTP/1.1\r\n" + HOST + b"\r\n"
    status, headers, problem = await exchange(server, sent)
    assert (status, problem["code"]) == (405, "method_not_allowed")
    assert headers["allow"] == "GET,HEAD,POST"


@pytest.mark.parametrize("part", [b"%00", b"%ff%fe", b"..%2f..%2fetc%2fpasswd", b"a%0d%0ab"])
async def test_an_id_of_strange_bytes_is_an_unknown_job(server: Running, part: bytes) -> None:
    sent = b"GET /api/v1/jobs/" + part + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    status, _, problem = await exchange(server, sent)
    assert (status, problem["code"]) == (404, "not_found")


async def test_a_body_that_drips_is_given_up(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "SLOW_AFTER_S", 0.0)
    monkeypatch.setattr(patient_reader, "MIN_BYTES_PER_S", 1e12)
    sent = POST + b"Content-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\nabc"
    status, _, problem = await exchange(server, sent)
    assert (status, problem["code"]) == (408, "request_timeout")


async def test_the_head_of_events_is_followed_by_the_next_answer(server: Running) -> None:
    url = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    head = b"HEAD /api/v1/events HTTP/1.1\r\n" + HOST + b"Accept: text/event-stream\r\n\r\n"
    writer.write(head + b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")
    assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
