"""What a picture is like stands on its row, and only while it is completed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from imgsvc.domain.job import JobChange
from imgsvc.domain.rendering import AnalysisFacts
from imgsvc.domain.states import ImageState
from imgsvc.store.images import ImageResult
from imgsvc.store.store import Store
from tests.store.builders import RENDERED, claim, create, failed, key, made

FACTS = AnalysisFacts("#0a3cc8", has_alpha=True, thumbhash="IPiBDIIXZ4R4kChYR/5yR4YAVXdyWXFWAw==")
ANALYSED = replace(RENDERED, analysis=FACTS)


async def test_an_analysis_reads_back_with_all_its_facts(store: Store) -> None:
    job = await create(store, 2)
    first, second = await claim(store, job)
    results = [ImageResult(key(first), ANALYSED), made(second)]
    assert await store.finish_images(results, 3_000) == [True, True]
    assert (await store.image(job.id, 0)).analysis == FACTS
    assert (await store.image(job.id, 1)).analysis is None


async def test_watchers_are_told_of_it(store: Store) -> None:
    job = await create(store, 1)
    (image,) = await claim(store, job)
    told: list[JobChange] = []
    store.subscribe(told.extend)
    await store.finish_images([ImageResult(key(image), ANALYSED)], 3_000)
    assert [changed.image.analysis for change in told for changed in change.images] == [FACTS]


async def test_an_image_has_none_until_it_is_completed(store: Store) -> None:
    job = await create(store, 1)
    (image,) = await claim(store, job)
    assert image.analysis is None
    await store.finish_images([failed(image)], 3_000)
    assert (await store.image(job.id, 0)).analysis is None
    await store.retry_images(job.id)
    (again,) = await claim(store, job)
    assert (again.state, again.analysis) == (ImageState.PROCESSING, None)


@pytest.mark.parametrize("analyze", [True, False])
async def test_a_job_says_whether_it_wants_one(store: Store, analyze: bool) -> None:
    job = await create(store, 1, analyze=analyze)
    assert job.analyze == analyze
    assert (await store.job(job.id)).analyze == analyze
    await claim(store, job)
    assert (await store.job(job.id)).analyze == analyze


@pytest.mark.parametrize("change", ["analysis = '[]'", "analysis = '['"])
async def test_the_table_refuses_one_where_there_is_no_result(
    store: Store, database: Path, change: str
) -> None:
    await create(store, 1)
    with (
        closing(sqlite3.connect(database, isolation_level=None)) as connection,
        pytest.raises(sqlite3.IntegrityError),
    ):
        connection.execute(f"UPDATE images SET {change}")  # noqa: S608 - it is written above
