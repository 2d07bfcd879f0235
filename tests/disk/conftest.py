from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.disk.small_disk import SmallDisk, small_disk
from tests.server_process import ServerProcess

RESERVE_BYTES = 1 << 20


@pytest.fixture(scope="package")
def shared_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("small") / "disk") as disk:
        yield disk


@pytest.fixture(scope="package")
def server(shared_disk: SmallDisk) -> Iterator[ServerProcess]:
    server = serve_on(shared_disk)
    try:
        yield server
        assert server.process.poll() is None
    finally:
        server.stop()


@pytest.fixture
def disk(shared_disk: SmallDisk) -> Iterator[SmallDisk]:
    """With all its space, before and after."""
    yield shared_disk
    shared_disk.clear()


@pytest.fixture
async def http(server: ServerProcess, disk: SmallDisk) -> AsyncIterator[aiohttp.ClientSession]:
    """Leaves the server without jobs."""
    async with aiohttp.ClientSession(base_url=server.url) as session:
        yield session
        disk.clear()
        async with session.get("/api/v1/jobs") as answer:
            jobs = (await answer.json())["items"]
        for job in jobs:
            async with session.delete(f"/api/v1/jobs/{job['id']}") as answer:
                assert answer.status == 204
        await keeps_ballast(disk)


async def keeps_ballast(disk: SmallDisk) -> None:
    """Returns once the server there has set its space aside."""
    while not (disk.outside / "data" / "ballast").exists():  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)


def serve_on(disk: SmallDisk, name: str = "data", **settings: str) -> ServerProcess:
    """A server with its data on the disk, which must be closed."""
    own = {
        "IMGSVC_STORAGE__RESERVE_BYTES": str(RESERVE_BYTES),
        "IMGSVC_FETCH__ALLOW_PRIVATE": "true",
        "IMGSVC_WEBHOOKS__ALLOW_PRIVATE": "true",
    }
    return ServerProcess(
        disk.path / Path(name), workers=1, settings={**own, **settings}, within=disk.enter
    )
