"""Images that the server fetches, sent off by the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from imgsvc.client import BytesUpload, Client, Journal, LocalFileError, UrlUpload
from tests.client.pictures import picture
from tests.fetching.hosts import Host, answer, running_host
from tests.servers import make_settings, running_server

TINY = {"variants": [{"name": "tiny", "width": 10, "format": "png"}]}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    settings = make_settings(tmp_path / "data", fetch={"allow_private": True})
    async with running_server(settings) as server, Client(server.url) as connected:
        yield connected


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with running_host() as running:
        running.answers["/a.png"] = answer(picture(), "image/png")
        yield running


async def names_of(client: Client, job_id: str) -> list[str]:
    return [image["name"] async for image in client.images(job_id)]


async def test_urls_alone_are_a_job(client: Client, host: Host) -> None:
    url = host.url("/a.png")
    urls = [UrlUpload(url), UrlUpload(url, "x" * 300 + "b.png")]
    job = await client.wait((await client.submit([], urls=urls, recipe=TINY))["id"])
    assert (job["status"], job["open"]) == ("completed", False)
    assert await names_of(client, job["id"]) == ["image-0", "x" * 250 + "b.png"]


async def test_urls_and_bytes_are_one_job(client: Client, host: Host) -> None:
    urls, images = [UrlUpload(host.url("/a.png"))], [BytesUpload(picture("red"), "c.png")]
    job = await client.wait((await client.submit(images, urls=urls, recipe=TINY))["id"])
    assert (job["status"], job["open"]) == ("completed", False)
    assert await names_of(client, job["id"]) == ["image-0", "c.png"]


async def test_without_the_files_there_is_no_job(
    client: Client, host: Host, tmp_path: Path
) -> None:
    with pytest.raises(LocalFileError):
        await client.submit([tmp_path / "missing.png"], urls=[UrlUpload(host.url("/a.png"))])
    assert [job async for job in client.jobs()] == []


async def test_with_a_journal_nothing_is_sent_twice(
    client: Client, host: Host, tmp_path: Path
) -> None:
    urls = [UrlUpload(host.url("/a.png"), "same.png")]
    images = [BytesUpload(picture(), "same.png")]
    ids = []
    for _ in range(2):
        with await asyncio.to_thread(Journal.open, tmp_path / "journal") as journal:
            job = await client.submit(images, urls=urls, recipe=TINY, journal=journal)
            ids.append((await client.wait(job["id"]))["id"])
    assert ids[0] == ids[1]
    assert await names_of(client, ids[0]) == ["same.png", "same.png"]
    kinds = [image["source"]["kind"] async for image in client.images(ids[0])]
    assert kinds == ["url", "upload"]
