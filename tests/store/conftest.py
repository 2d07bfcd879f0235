"""A store on a real database in a folder of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from imgsvc.domain.job import JobChange
from imgsvc.store.store import Store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "imgsvc.db"


@pytest.fixture
async def store(database: Path) -> AsyncIterator[Store]:
    store = await Store.open(database)
    yield store
    await store.close()


@pytest.fixture
def told(store: Store) -> list[JobChange]:
    """Everything the store tells its subscribers, in order."""
    changes: list[JobChange] = []
    store.subscribe(changes.extend)
    return changes
