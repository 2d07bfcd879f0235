from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from imgsvc.cli.exits import UNREACHABLE
from imgsvc.cli.explain import code_of
from imgsvc.client import (
    ApiError,
    BytesUpload,
    Client,
    ClientError,
    FileUpload,
    LocalFileError,
    ServerUnreachable,
)
from imgsvc.client.sending import name_in_job
from imgsvc.client.upload import CHUNK_BYTES, MultipartBody
from tests.client.pictures import picture


async def names_of(client: Client, job_id: str) -> list[str]:
    return [image["name"] async for image in client.images(job_id)]


async def test_files_and_bytes_become_images_in_the_order_given(
    client: Client, tmp_path: Path
) -> None:
    bare, named = tmp_path / "a.png", tmp_path / "b.png"
    for path in (bare, named):
        path.write_bytes(picture())
    job = await client.submit(
        [bare, FileUpload(named, "trip/day 1/b.png"), BytesUpload(picture("red"), "c.png")]
    )
    assert job["total"] == 3
    assert await names_of(client, job["id"]) == ["a.png", "trip/day 1/b.png", "c.png"]


async def test_options_arrive(client: Client) -> None:
    recipe = {"variants": [{"name": "tiny", "width": 10, "format": "png"}]}
    job = await client.submit(
        [BytesUpload(picture(), "a.png")], recipe=recipe, label="autumn", priority="high"
    )
    assert (job["label"], job["priority"], job["preset"]) == ("autumn", "high", None)
    assert job["recipe"]["variants"][0]["name"] == "tiny"
    assert job["source"] == "api"


@pytest.mark.parametrize("analyze", [None, True, False])
async def test_an_analysis_is_there_unless_it_is_switched_off(
    client: Client, analyze: bool | None
) -> None:
    upload = BytesUpload(picture((10, 60, 200)), "a.png")
    job = await client.submit([upload], preset="thumbnail", analyze=analyze)
    await client.wait(job["id"])
    (image,) = [image async for image in client.images(job["id"])]
    if analyze is False:
        assert image["analysis"] is None
    else:
        assert image["analysis"] is not None
        assert image["analysis"]["dominant_colour"] == "#0a3cc8"


@pytest.mark.parametrize("name", ['say "cheese".png', "Käse 写真.png", "100%.png", "a;b=c.png"])
async def test_names_arrive_as_they_are(client: Client, name: str) -> None:
    job = await client.submit([BytesUpload(picture(), name)])
    assert await names_of(client, job["id"]) == [name]


async def test_a_long_name_keeps_its_end(client: Client) -> None:
    job = await client.submit([BytesUpload(picture(), "x" * 300 + "/a.png")])
    assert await names_of(client, job["id"]) == ["x" * 249 + "/a.png"]


@pytest.mark.parametrize(
    "name", ["x" * 300 + "/\n.png", "\x01" * 300 + "a.png", "x\\" * 200, "\udcff" * 300]
)
async def test_it_is_known_what_the_server_will_call_an_image(client: Client, name: str) -> None:
    """By that its client finds out what has arrived."""
    job = await client.submit([BytesUpload(picture(), name)])
    assert await names_of(client, job["id"]) == [name_in_job(name)]


async def test_a_name_that_is_no_utf8_is_sent_readable(client: Client) -> None:
    job = await client.submit([BytesUpload(picture(), "a\udcff.png")])
    assert await names_of(client, job["id"]) == ["a_.png"]


async def test_an_empty_file_is_an_image_that_fails(client: Client, tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.touch()
    job = await client.wait((await client.submit([empty]))["id"])
    assert job["errors"] == {"empty_image": 1}


async def test_what_is_sent_is_told_as_it_goes(client: Client, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(3 * CHUNK_BYTES))
    told: list[int] = []
    await client.submit([large, BytesUpload(b"12345", "b.png")], on_sent=told.append)
    assert told == [CHUNK_BYTES, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES, 3 * CHUNK_BYTES + 5]


async def test_a_file_that_cannot_be_read_leaves_nothing_submitted(
    client: Client, tmp_path: Path
) -> None:
    with pytest.raises(LocalFileError) as caught:
        await client.submit(
            [BytesUpload(picture(), "a.png"), tmp_path / "gone.png"], label="broken off"
        )
    assert caught.value.path == tmp_path / "gone.png"
    assert [job async for job in client.jobs(label="broken off")] == []


async def test_a_wrong_spec_is_refused_while_the_images_are_still_being_sent(
    client: Client, tmp_path: Path
) -> None:
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(50 << 20)
    sent: list[int] = []
    with pytest.raises(ApiError) as caught:
        await client.submit([large] * 40, preset="nonsense", on_sent=sent.append)
    assert (caught.value.code, caught.value.status) == ("invalid_request", 422)
    assert caught.value.errors[0].pointer == "/preset"
    assert sent[-1] < 40 * 50 << 20


async def test_memory_stays_flat_however_much_is_sent(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(100 << 20)
    body = MultipartBody({}, [large, large])
    tracemalloc.start()
    try:
        sent_bytes = 0
        async for chunk in body.stream():
            sent_bytes += len(chunk)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sent_bytes > 200 << 20
    assert peak_bytes < 8 * CHUNK_BYTES


async def test_nobody_listening_is_an_unreachable_server(unused_tcp_port: int) -> None:
    async with Client(f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(ServerUnreachable, match="refused"):
            await client.submit([BytesUpload(picture(), "a.png")])


async def test_what_answers_but_is_no_imgsvc_is_told_apart() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        async with Client(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(ServerUnreachable, match="no imgsvc"):
                await client.info()


@pytest.mark.parametrize("body", ["{}", "[]", '"ok"', '{"status": "ok"}', "null", ""])
async def test_json_of_another_program_is_no_answer(body: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(text=body, status=200 if body else 204)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as other, Client(str(other.make_url("/"))) as client:
        questions: list[Callable[[], Awaitable[object]]] = [
            client.info,
            lambda: client.job("1"),
            lambda: anext(client.jobs()),
            lambda: anext(client.images("1")),
            lambda: anext(client.deliveries("1")),
            lambda: client.cancel("1"),
            lambda: client.append("1", [BytesUpload(picture(), "a.png")]),
            lambda: client.submit([BytesUpload(picture(), "a.png")]),
            lambda: client.submit_list(b"x"),
            lambda: client.redeliver("1", "2"),
            client.presets,
            lambda: client.preset("a"),
            lambda: client.save_preset("a", {}),
            client.watermarks,
            lambda: client.watermark("a"),
            lambda: client.save_watermark("a", picture()),
        ]
        if body:  # else nothing tells it from an imgsvc that has deleted what it was asked to
            questions += [
                lambda: client.delete("1"),
                lambda: client.delete_preset("a"),
                lambda: client.delete_watermark("a"),
            ]
        for question in questions:
            with pytest.raises(ServerUnreachable, match="no imgsvc"):
                await question()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (418, "<html>", None),
        (400, '{"code": 7, "errors": ["no"]}', None),
        (404, "<html>", "http_404"),
        (413, "<html>", "http_413"),
        (502, '{"code": 7, "errors": ["no"]}', "http_502"),
        (400, '{"code": "bad", "errors": ["no"]}', None),
        (404, '{"code": "rest_no_route", "message": "No route."}', "http_404"),
        (404, '{"type": "about:blank", "code": "not_found", "detail": "No."}', "http_404"),
    ],
)
async def test_a_refusal_of_another_program_is_told_from_that_of_a_gateway(
    status: int, body: str, code: str | None
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} No\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
        async with Client(url) as client:
            with pytest.raises(ClientError, match="is no imgsvc") as caught:
                await client.info()
    assert isinstance(caught.value, ServerUnreachable if code is None else ApiError)
    assert getattr(caught.value, "code", None) == code
    assert url in caught.value.message
    if status in {404, 418, 502}:
        assert code_of(caught.value) == UNREACHABLE


async def test_a_server_that_says_nothing_is_not_waited_for_as_long_as_one_that_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("imgsvc.client.connection.LOOK_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with Client(f"http://127.0.0.1:{silent.getsockname()[1]}") as client:
            with pytest.raises(ServerUnreachable, match="it has stopped answering"):
                await client.info()


async def test_the_key_goes_with_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    monkeypatch.setenv("IMGSVC_API_KEY", "secret")
    async with await asyncio.start_server(note, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with Client(f"http://127.0.0.1:{port}") as client:
            with pytest.raises(ServerUnreachable, match="broke"):
                await client.submit([BytesUpload(b"", "a.png")])
    assert b"\r\nAuthorization: Bearer secret\r\n" in heads[0]


@pytest.mark.parametrize("server", ["localhost:8080", "ftp://host", "http://", "http://[::1"])
def test_what_is_no_url_of_a_server_is_refused_at_once(server: str) -> None:
    with pytest.raises(ClientError):
        Client(server)


async def test_the_server_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client().server == "http://127.0.0.1:8080"
    monkeypatch.setenv("IMGSVC_SERVER", "https://images.example/under/")
    assert Client().server == "https://images.example/under"
