"""A blob store of its own for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from imgsvc.blobs.blob_store import BlobStore


@pytest_asyncio.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[BlobStore]:
    store = BlobStore(tmp_path / "data")
    await store.prepare()
    yield store
    store.close()
