"""Images that may be what the server dies of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imgsvc.dispatch.admission import Admission
from imgsvc.dispatch.suspects import Suspects
from imgsvc.store.store import Store
from imgsvc.workers.engine import WorkerFacts, WorkerState
from tests.store.builders import claim, create, made

BUDGET = 400


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "imgsvc.db")
    yield store
    await store.close()


def _engine(*states: WorkerState) -> Any:
    """As much of one as is looked at."""
    workers = [WorkerFacts(n, state, 1, 0, 0, 0, 0) for n, state in enumerate(states)]
    return SimpleNamespace(workers=lambda: workers)


async def test_a_suspect_does_not_wait_with_a_worker_that_is_still_starting(store: Store) -> None:
    """While it waited there, each death of the server would be laid at its door."""
    admission = Admission(BUDGET, lambda: BUDGET)
    starting, idle = WorkerState.STARTING, WorkerState.IDLE
    assert not Suspects(store, admission, _engine(starting, starting)).admits()
    assert Suspects(store, admission, _engine(starting, idle)).admits()


async def test_nothing_begins_before_the_end_of_a_suspect_is_stored(store: Store) -> None:
    admission = Admission(BUDGET, lambda: BUDGET)
    suspects = Suspects(store, admission, _engine(WorkerState.IDLE))
    first, second = await claim(store, await create(store, 2))
    assert suspects.admits()
    assert await suspects.note(first)
    suspects.begin(first)
    suspects.settle(second.key)
    assert not suspects.admits()
    assert not admission.admits_ordinary()
    suspects.settle(first.key)
    assert suspects.admits()


async def test_a_suspect_that_has_its_end_already_does_not_begin(store: Store) -> None:
    suspects = Suspects(store, Admission(BUDGET, lambda: BUDGET), _engine(WorkerState.IDLE))
    (image,) = await claim(store, await create(store, 1))
    await store.finish_images([made(image)], 3_000)
    assert not await suspects.note(image)
