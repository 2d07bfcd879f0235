"""Databases of earlier versions are brought up to date with what stands in them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from imgsvc.domain.states import Priority
from imgsvc.store.scripts import load_scripts
from imgsvc.store.store import Store

RECIPE = '{"variants":[{"name":"standard"}]}'


def insert(connection: sqlite3.Connection, table: str, **values: object) -> None:
    marks = ", ".join("?" * len(values))
    statement = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"  # noqa: S608 - ours
    connection.execute(statement, tuple(values.values()))


@pytest.fixture
def old_job(database: Path) -> str:
    """Of version 11 and low priority, with one image that has its bytes, and has crashed its
    worker, and two that wait.
    """
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for number, script in sorted(load_scripts().items()):
            if number <= 11:
                connection.executescript(script)
        insert(
            connection, "jobs", id="j", state="pending", priority="low", recipe=RECIPE, open=0,
            hidden=0, source="api", total=3, completed=0, failed=0, cancelled=0, input_bytes=9,
            output_bytes=0, errors="{}", retain_s=60, seq=1, created_at=1, appended_at=1,
        )  # fmt: skip
        for index, sha256 in enumerate(("ab" * 32, None, None)):
            insert(
                connection, "images", job_id="j", idx=index, id=f"i{index}", name="a",
                state="pending", attempts=1 if sha256 else 0, claim=1, kind="url",
                url="http://a.example/", sha256=sha256, fetch_host="a.example",
                fetch_at=None if sha256 else 0,
                last_error_code="worker_crashed" if sha256 else None,
                last_error_message="Its worker died." if sha256 else None,
            )  # fmt: skip
    return "j"


async def test_images_that_wait_for_a_host_keep_waiting(database: Path, old_job: str) -> None:
    store = await Store.open(database)
    assert (await store.job(old_job)).unfetched == 2
    assert await store.hosts_to_fetch(Priority.LOW, 9) == ["a.example"]
    assert await store.jobs_to_fetch(Priority.LOW, "", 9) == [old_job]
    assert [image.index for image in await store.claim_images([(old_job, 9)], 2_000)] == [0]
    await store.cancel_job(old_job, 3_000)
    assert (await store.retry_images(old_job)).unfetched == 2
    assert await store.hosts_to_fetch(Priority.LOW, 9) == ["a.example"]
    await store.close()


async def test_a_crash_of_before_is_the_first_of_two(database: Path, old_job: str) -> None:
    store = await Store.open(database)
    images, _ = await store.images(old_job, limit=9)
    await store.close()
    assert [image.has_crashed for image in images] == [True, False, False]
