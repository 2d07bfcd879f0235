from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from imgsvc.client import Client, Journal
from imgsvc.client.connection import Connection
from tests.server_process import ServerProcess, server_process

LoseAnswer = Callable[..., list[str]]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One real server for all tests here: each makes jobs of its own."""
    with server_process(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture
async def client(server: ServerProcess) -> AsyncIterator[Client]:
    async with Client(server.url) as connected:
        yield connected


@pytest.fixture
def journal_path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@pytest.fixture
def journal(journal_path: Path) -> Iterator[Journal]:
    with Journal.open(journal_path) as opened:
        yield opened


@pytest.fixture
def lose_answer(monkeypatch: pytest.MonkeyPatch) -> LoseAnswer:
    """The next request for a job is carried out, and ends in `error` all the same.

    meanwhile: called before the error is raised. Returns where the job's id is put.
    """

    def lose(error: BaseException, meanwhile: Callable[[], Any] = lambda: None) -> list[str]:
        read, lost = Connection._read_json, list[str]()

        async def read_or_lose(self: Connection, response: ClientResponse) -> Any:
            answer = await read(self, response)
            if response.method == "POST" and not lost:
                lost.append(answer["id"])
                await asyncio.to_thread(meanwhile)
                raise error
            return answer

        monkeypatch.setattr(Connection, "_read_json", read_or_lose)
        return lost

    return lose
