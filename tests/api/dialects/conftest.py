"""One real server for the dialects' clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.api.dialects.clients import UrllibClient
from tests.server_process import server_process

Poll = Callable[[str], Any]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UrllibClient]:
    with server_process(tmp_path_factory.mktemp("server") / "data") as running:
        yield UrllibClient(running.url)


@pytest.fixture
def poll(client: UrllibClient) -> Poll:
    """Ask for a status again and again, as these designs' clients do, until it is final."""

    def ask(path: str) -> Any:
        while True:
            document = client.get(path).document
            if document["status"] not in {"pending", "processing"}:
                return document

    return ask
