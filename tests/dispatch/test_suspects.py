"""Images that may be what the server dies of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from imgsvc.dispatch.admission import Admission
from imgsvc.dispatch.suspects import Suspects
from imgsvc.store.store import Store
from tests.store.builders import claim, create, made

BUDGET = 400


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "imgsvc.db")
    yield store
    await store.close()


async def test_nothing_begins_before_the_end_of_a_suspect_is_stored(store: Store) -> None:
    admission = Admission(BUDGET, lambda: BUDGET)
    suspects = Suspects(store, admission)
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
    suspects = Suspects(store, Admission(BUDGET, lambda: BUDGET))
    (image,) = await claim(store, await create(store, 1))
    await store.finish_images([made(image)], 3_000)
    assert not await suspects.note(image)
