"""How images come in: a gibibyte in one form, ten thousand URLs, a list of as many products."""

from __future__ import annotations

import asyncio
import csv
import http.client
import json
import math
import os
import shutil
import statistics
import time
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

import aiohttp

from benchmarks.around import Row
from benchmarks.corpus import make_batch
from benchmarks.hosts import ADDRESSES, BareHost
from benchmarks.server import ServerProcess
from imgsvc.client import Client, UrlUpload

UPLOAD_BYTES = 1 << 30
PHOTO_BYTES = (4 << 20, 24 << 20)
"""As telephones make them, and as cameras do."""
URLS = 10_000
FETCHES = 32
"""At once, as the service's own default."""
_BOUNDARY = "a-boundary-that-stands-in-no-file"
ROWS = 10_000
_DESCRIPTION = "Leather upper, rubber sole; “made to last”, in sizes 36 to 47. " * 4


def measure_uploads(folder: Path, workers: int, rounds: int) -> list[Row]:
    """One form of a gibibyte to the service, and to a handler that only writes it down.

    The service answers when its files are on stable storage. They are no pictures, so the
    workers take next to no time from the upload that follows.
    """
    return [_measure_upload(folder, workers, rounds, size_bytes) for size_bytes in PHOTO_BYTES]


def _measure_upload(folder: Path, workers: int, rounds: int, photo_bytes: int) -> Row:
    body = folder / "body"
    _write_form(body, photo_bytes)
    received = folder / "received"
    received.mkdir()
    times_s: list[tuple[float, float]] = []
    with ServerProcess(folder / "data", workers) as server, BareHost("receive", received) as bare:
        for number in range(rounds + 1):
            bare_s, _ = _post_form(bare.port, "/", body)
            (received / "received").unlink()
            service_s, job = _post_form(server.port, "/api/v1/jobs", body)
            asyncio.run(_delete(server, json.loads(job)["id"]))
            if number == 0:  # both have grown to their size
                before_bytes = server.peak_bytes()
            else:
                times_s.append((bare_s, service_s))
        grown_bytes = server.peak_bytes() - before_bytes
    size_bytes = body.stat().st_size
    shutil.rmtree(folder / "data")
    shutil.rmtree(received)
    body.unlink()
    bare_s, service_s = (statistics.median(side) for side in zip(*times_s, strict=True))
    return (
        f"1 GiB in files of {photo_bytes >> 20} MiB in one form, "
        "against a bare handler that writes it to a file",
        f"{100 * bare_s / service_s:.0f} % ({size_bytes / 1e6 / service_s:,.0f} MB/s, "
        f"{size_bytes / 1e6 / bare_s:,.0f} MB/s); memory grew by {grown_bytes >> 20} MiB",
    )


def measure_urls(photos: Sequence[Path], folder: Path, workers: int) -> list[Row]:
    """Ten thousand small images by URL, against their host alone and the workers alone."""
    batch = make_batch(photos, URLS, folder / "served")
    allowed = {"IMGSVC_FETCH__ALLOW_PRIVATE": "true"}
    with (
        BareHost("serve", folder / "served") as host,
        ServerProcess(folder / "data", workers, allowed) as server,
    ):
        urls = [
            f"http://{ADDRESSES[number % len(ADDRESSES)]}:{host.port}/{path.name}"
            for number, path in enumerate(batch)
        ]
        host_s = asyncio.run(_fetch_all(urls))
        uploads_s = asyncio.run(_make_all(server, batch))
        before_bytes = server.peak_bytes()
        urls_s = asyncio.run(_make_all(server, [], [UrlUpload(url) for url in urls]))
        grown_bytes = server.peak_bytes() - before_bytes
    shutil.rmtree(folder / "data")
    shutil.rmtree(folder / "served")
    return [
        (
            f"{URLS:,} small images by URL, against the same uploaded, and their host alone",
            f"{URLS / urls_s:,.0f}/s, {URLS / uploads_s:,.0f}/s, {URLS / host_s:,.0f}/s; "
            f"memory grew by {grown_bytes >> 20} MiB",
        )
    ]


def measure_list(folder: Path, workers: int, rounds: int) -> list[Row]:
    """A product list, until it is accepted. Its URLs lead nowhere, and the job is deleted then."""
    body = make_list(ROWS)
    with ServerProcess(folder / "data", workers) as server:
        _send_list(server, body)
        before_bytes = server.peak_bytes()
        accepted_s = statistics.median(_send_list(server, body) for _ in range(rounds))
        grown_bytes = server.peak_bytes() - before_bytes
    shutil.rmtree(folder / "data")
    return [
        (
            f"a product list of {ROWS:,} rows, until it is accepted",
            f"{accepted_s:.2f} s; memory grew by {grown_bytes >> 20} MiB",
        )
    ]


def make_list(rows: int) -> bytes:
    """One URL in every row, and source columns of some 300 characters."""
    buffer = StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(["S. No.", "Product Name", "Input Image Urls", "SKU", "Description"])
    for number in range(1, rows + 1):
        url = f"https://shop.invalid/catalogue/{number}/front.jpg"
        writer.writerow([number, f"Shoe № {number}", url, f"SKU-{number:06}", _DESCRIPTION])
    return buffer.getvalue().encode()


def _send_list(server: ServerProcess, body: bytes) -> float:
    """Seconds from the first byte to the answer."""

    async def send() -> float:
        async with Client(server.url) as client:
            begin = time.perf_counter()
            job = await client.submit_list(body)
            elapsed_s = time.perf_counter() - begin
            await client.delete(job["id"])
        return elapsed_s

    return asyncio.run(send())


def _write_form(path: Path, photo_bytes: int) -> None:
    with path.open("wb") as file:
        for part in _form(photo_bytes):
            file.write(part)


def _form(photo_bytes: int) -> Iterator[bytes]:
    for number in range(math.ceil(UPLOAD_BYTES / photo_bytes)):
        yield (
            f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=images; "
            f'filename="{number}.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
        ).encode()
        yield os.urandom(photo_bytes)
        yield b"\r\n"
    yield f"--{_BOUNDARY}--\r\n".encode()


def _post_form(port: int, path: str, body: Path) -> tuple[float, bytes]:
    """Seconds from the first byte to the answer, and the answer. The kernel sends the file, so
    that the sender costs next to nothing; what was left to be written is written before.
    """
    os.sync()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.connect()
    begin = time.perf_counter()
    with body.open("rb") as file:
        connection.putrequest("POST", path)
        connection.putheader("Content-Type", f"multipart/form-data; boundary={_BOUNDARY}")
        connection.putheader("Content-Length", str(body.stat().st_size))
        connection.endheaders()
        connection.sock.sendfile(file)
    answer = connection.getresponse()
    content = answer.read()
    elapsed_s = time.perf_counter() - begin
    connection.close()
    if answer.status != http.HTTPStatus.ACCEPTED:
        raise ValueError(f"the upload was answered with {answer.status}")
    return elapsed_s, content


async def _delete(server: ServerProcess, job_id: str) -> None:
    """What comes next finds as much memory in use as what came before."""
    async with Client(server.url) as client:
        await client.delete(job_id)


async def _fetch_all(urls: Sequence[str]) -> float:
    """Seconds to fetch all of them with nothing done to them."""
    waiting = iter(urls)
    begin = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def fetch() -> None:
            for url in waiting:
                async with session.get(url) as answer:
                    await answer.read()

        await asyncio.gather(*(fetch() for _ in range(FETCHES)))
    return time.perf_counter() - begin


async def _make_all(
    server: ServerProcess, files: Sequence[Path], urls: Sequence[UrlUpload] = ()
) -> float:
    """Seconds from the submit to the last thumbnail."""
    async with Client(server.url) as client:
        begin = time.perf_counter()
        job = await client.submit(files, urls=urls, preset="thumbnail", reuse=False)
        job = await client.wait(job["id"])
        elapsed_s = time.perf_counter() - begin
        if job["completed"] != URLS:
            raise ValueError(f"only {job['completed']} of {URLS} were completed")
        await client.delete(job["id"])
    return elapsed_s
