"""Hosts to fetch from, and what fetches from them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from imgsvc.blobs.blob_store import BlobStore
from tests.fetching.background import Background, background
from tests.fetching.hosts import Clock, Host, running_host


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def host() -> AsyncIterator[Host]:
    async with running_host() as running:
        yield running


@pytest_asyncio.fixture
async def other_host() -> AsyncIterator[Host]:
    async with running_host("127.0.0.2") as running:
        yield running


@pytest_asyncio.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[BlobStore]:
    blobs = BlobStore(tmp_path / "data")
    await blobs.prepare()
    yield blobs
    blobs.close()


@pytest_asyncio.fixture
async def back(tmp_path: Path, blobs: BlobStore, clock: Clock) -> AsyncIterator[Background]:
    async with background(tmp_path, blobs, clock) as running:
        yield running
