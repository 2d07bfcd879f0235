"""What waits in the database when the clock is set, or was wrong at the last run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from imgsvc.domain.image import SourceKind
from imgsvc.domain.job import Job
from imgsvc.domain.states import Priority
from imgsvc.store.deadlines import LongestWaits
from imgsvc.store.keys import NewKey
from imgsvc.store.store import Store
from tests.store.builders import CRASHED, claim, create, made, new_image, new_job, release

NOW = 1_800_000_000_000
DAY_MS = 86_400_000
LONGEST = LongestWaits(tries=30_000, fetches=300_000, deliveries=DAY_MS, keys=DAY_MS)


@pytest.fixture
async def job(store: Store) -> Job:
    """One image that is tried again in 1 s, and one that is to be fetched."""
    images = [
        new_image(),
        new_image(kind=SourceKind.URL, url="https://a.example/b.jpg", fetch_host="a.example",
                  size_bytes=None, sha256=None),
    ]  # fmt: skip
    job = await store.create_job(new_job(open=True, retain_s=3600), images, NOW)
    (image,) = await claim(store, job, 1, NOW)
    await store.release_images([release(image, last_error=CRASHED, not_before=NOW + 1000)], NOW)
    return job


def _read(database: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute(query)]


async def _finish_job(store: Store) -> Job:
    job = await create(store, 1, now_ms=NOW, retain_s=3600)
    await store.finish_images([made(i) for i in await claim(store, job, 1, NOW)], NOW)
    return await store.job(job.id)


@pytest.mark.parametrize("by_ms", [DAY_MS, 365 * DAY_MS, -DAY_MS, 20_000, -20_000])
async def test_an_image_is_tried_again_as_soon_as_if_the_clock_had_not_been_set(
    store: Store, job: Job, by_ms: int
) -> None:
    await store.move_deadlines(by_ms, NOW + by_ms, LONGEST)
    assert await store.next_try_ms(job.id) == NOW + by_ms + 1000
    assert await claim(store, job, 9, NOW + by_ms + 999) == []
    assert len(await claim(store, job, 9, NOW + by_ms + 1000)) == 1


@pytest.mark.parametrize("by_ms", [DAY_MS, -DAY_MS])
async def test_a_fetch_that_is_to_be_at_once_is_at_once(store: Store, job: Job, by_ms: int) -> None:
    await store.move_deadlines(by_ms, NOW + by_ms, LONGEST)
    assert await store.hosts_to_fetch(Priority.NORMAL, 9) == ["a.example"]


async def test_a_finished_job_is_kept_for_its_whole_time_when_the_clock_is_set_forward(
    store: Store,
) -> None:
    job = await _finish_job(store)
    await store.move_deadlines(365 * DAY_MS, NOW + 365 * DAY_MS, LONGEST)
    later = NOW + 365 * DAY_MS
    assert await store.expired_jobs(later + 3_599_999, 9) == []
    assert await store.expired_jobs(later + 3_600_000, 9) == [job.id]


async def test_a_finished_job_is_kept_at_most_for_its_time_anew_when_the_clock_is_set_back(
    store: Store,
) -> None:
    job = await _finish_job(store)
    earlier = NOW - 30 * DAY_MS
    await store.move_deadlines(-30 * DAY_MS, earlier, LONGEST)
    assert await store.expired_jobs(earlier + 3_599_999, 9) == []
    assert await store.expired_jobs(earlier + 3_600_000, 9) == [job.id]
    again = await _finish_job(store)
    await store.move_deadlines(-1_000, NOW - 1_000, LONGEST)
    assert (await store.job(again.id)).expires_at == NOW + 3_599_000


async def test_an_open_job_is_idle_after_its_whole_time(store: Store, job: Job) -> None:
    await store.move_deadlines(DAY_MS, NOW + DAY_MS, LONGEST)
    assert await store.idle_open_jobs(NOW + DAY_MS - 1, 9) == []
    assert await store.idle_open_jobs(NOW + DAY_MS, 9) == [job.id]
    await store.move_deadlines(-3 * DAY_MS, NOW - 2 * DAY_MS, LONGEST)
    assert await store.idle_open_jobs(NOW - 2 * DAY_MS, 9) == [job.id]


async def test_an_idempotency_key_is_known_for_its_whole_time(store: Store, job: Job) -> None:
    await store.close_job(job.id, NOW, NewKey("key", "f", NOW + DAY_MS))
    await store.move_deadlines(DAY_MS, NOW + DAY_MS, LONGEST)
    assert await store.key("key", NOW + 2 * DAY_MS - 1) is not None
    assert await store.key("key", NOW + 2 * DAY_MS) is None
    await store.move_deadlines(-9 * DAY_MS, NOW - 8 * DAY_MS, LONGEST)
    assert await store.key("key", NOW - 7 * DAY_MS - 1) is not None
    assert await store.key("key", NOW - 7 * DAY_MS) is None


async def test_at_a_start_nothing_waits_for_a_clock_that_was_ahead(
    store: Store, database: Path, job: Job
) -> None:
    finished = await _finish_job(store)
    await store.close_job(finished.id, NOW, NewKey("key", "f", NOW + DAY_MS))
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("UPDATE images SET fetch_at = ? WHERE fetch_at = 0", (NOW + 5000,))
    earlier = NOW - 400 * DAY_MS
    await store.cut_deadlines(earlier, LONGEST)
    assert len(await claim(store, job, 9, earlier)) == 1
    assert await store.hosts_to_fetch(Priority.NORMAL, 9) == ["a.example"]
    assert (await store.job(finished.id)).expires_at == earlier + 3_600_000
    assert await store.idle_open_jobs(earlier, 9) == [job.id]
    assert await store.key("key", earlier + DAY_MS) is None


async def test_at_a_start_with_a_right_clock_nothing_changes(
    store: Store, database: Path, job: Job
) -> None:
    finished = await _finish_job(store)
    await store.close_job(finished.id, NOW, NewKey("key", "f", NOW + DAY_MS))
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("UPDATE images SET fetch_at = ? WHERE fetch_at = 0", (NOW + 300_000,))
    queries = (
        "SELECT not_before FROM images", "SELECT fetch_at FROM images",
        "SELECT expires_at FROM jobs", "SELECT appended_at FROM jobs",
        "SELECT expires_at FROM idempotency_keys",
    )  # fmt: skip
    before = [_read(database, query) for query in queries]
    await store.cut_deadlines(NOW, LONGEST)
    assert [_read(database, query) for query in queries] == before
