from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from imgsvc.client import Client
from tests.server_process import ServerProcess, server_process


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One real server for all tests here: each makes jobs of its own."""
    with server_process(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture
async def client(server: ServerProcess) -> AsyncIterator[Client]:
    async with Client(server.url) as connected:
        yield connected
