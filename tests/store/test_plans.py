"""How SQLite means to run every statement: by search, never by walking a table."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from imgsvc.fetching.url_images import url_image
from imgsvc.store import sql
from imgsvc.store.store import Store
from tests.store.builders import new_job

STATEMENTS = {
    **sql.JOBS,
    **sql.IMAGES,
    **sql.KEYS,
    **sql.PRESETS,
    **sql.WATERMARKS,
    **sql.WEBHOOKS,
    **sql.FETCHES,
    **sql.PRODUCT_LISTS,
    **sql.DEADLINES,
    **sql.FOLDERS,
}

TABLES = (
    "jobs|images|idempotency_keys|presets|watermarks|watermark_files|job_watermarks"
    "|folder_files|webhooks|unannounced_images|deliveries|later|due|product_lists|product_rows"
)

# These read all of a partial index, which holds just the rows they are after, or all of a
# table that is bounded.
WALKS = {
    "jobs_with_pending": "SCAN jobs USING INDEX jobs_unfinished",
    "unfinished_jobs": "SCAN jobs USING INDEX jobs_unfinished",
    "cut_appends": "SCAN jobs USING INDEX jobs_unfinished",
    "postpone_expiries": "SCAN jobs USING INDEX jobs_expiring",
    "postpone_appends": "SCAN jobs USING INDEX jobs_unfinished",
    "move_tries": "SCAN images USING INDEX images_claimable",
    "cut_tries": "SCAN images USING INDEX images_claimable",
    "move_appends": "SCAN jobs USING INDEX jobs_unfinished",
    "move_deliveries": "SCAN deliveries USING INDEX deliveries_waiting",
    "waiting_deliveries": "SCAN deliveries USING INDEX deliveries_waiting",
    "hidden_jobs": "SCAN jobs USING INDEX jobs_hidden",
    "forget_unwatched_files": "SCAN folder_files USING INDEX folder_files_undelivered",
    "all_presets": "SCAN presets",
    "insert_preset": "SCAN presets",
    "all_watermarks": "SCAN watermarks",
    "insert_watermark": "SCAN watermarks USING COVERING INDEX watermarks_by_file",
    "all_watermark_files": "SCAN watermark_files",
    "forget_watermark_files": "SCAN watermark_files",
}


@pytest.fixture
async def planner(store: Store, database: Path) -> AsyncIterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database)) as connection:
        yield connection


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    parameters = dict.fromkeys(re.findall(r":(\w+)", statement))
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_no_statement_walks_a_table_or_sorts(planner: sqlite3.Connection, name: str) -> None:
    for step in plan(planner, STATEMENTS[name]):
        assert "TEMP B-TREE" not in step
        assert "AUTOMATIC" not in step
        if re.match(rf"SCAN ({TABLES})\b", step):
            assert step == WALKS.get(name)


@pytest.mark.parametrize(
    "name",
    [
        "claim_images", "finish_images", "release_images", "retry_images", "jobs_by_ids",
        "finish_fetches",
    ],
)  # fmt: skip
async def test_set_based_statements_go_from_the_given_rows_to_the_table(
    planner: sqlite3.Connection, name: str
) -> None:
    steps = plan(planner, STATEMENTS[name])
    given = steps.index("SCAN v", 1)
    table = "jobs" if name == "jobs_by_ids" else "images"
    key = r"\(id=\?\)" if table == "jobs" else r"\(job_id=\? AND (state=\? AND )?idx=\?\)"
    assert re.fullmatch(rf"SEARCH {table} USING .*INDEX \w+ {key}", steps[given + 1])


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("image", "sqlite_autoindex_images_1"),
        ("image_by_id", "images_id"),
        ("images_of_job", "sqlite_autoindex_images_1"),
        ("image_files", "images_in_state"),
        ("images_of_job_in_state", "images_in_state"),
        ("images_newest_in_state", "images_newest"),
        ("images_newest", "images_id"),
        ("jobs_newest", "sqlite_autoindex_jobs_1"),
        ("jobs_newest_in_state", "jobs_in_state"),
        ("jobs_newest_labelled", "jobs_labelled"),
        ("next_try", "images_claimable"),
        ("next_fetch", "images_to_fetch_later"),
        ("expired_jobs", "jobs_expiring"),
        ("idle_open_jobs", "jobs_open"),
        ("count_death", "images_newest"),
        ("fail_guilty_images", "images_newest"),
        ("recover_images", "images_newest"),
        ("deliveries_of_job", "deliveries_of_job"),
        ("next_delivery", "deliveries_waiting"),
        ("product_rows", "sqlite_autoindex_product_rows_1"),
        ("files_of_folder", "sqlite_autoindex_folder_files_1"),
        ("taken_files", "folder_files_taken"),
        ("taken_files_of_job", "folder_files_taken"),
        ("failed_files", "folder_files_failed"),
        ("is_undelivered", "folder_files_undelivered"),
    ],
)
async def test_a_read_uses_the_index_made_for_it(
    planner: sqlite3.Connection, name: str, index: str
) -> None:
    assert f" {index} (" in plan(planner, STATEMENTS[name])[0]


def test_every_statement_is_named_once_and_used() -> None:
    code = "".join(path.read_text() for path in Path(sql.__file__).parent.glob("*.py"))
    built = {"jobs_newest_labelled", "jobs_newest_labelled_in_state", "jobs_newest_in_state"}
    assert [name for name in STATEMENTS if f'"{name}"' not in code and name not in built] == []


async def test_equal_inputs_are_found_by_steps_through_their_index(
    planner: sqlite3.Connection,
) -> None:
    steps = plan(planner, STATEMENTS["reusable_images"])
    searches = [step for step in steps if "images_reusable" in step]
    assert len(searches) == 3
    assert all(step.startswith("SEARCH") and "sha256=?" in step for step in searches)
    assert "SEARCH images USING INTEGER PRIMARY KEY (rowid=?)" in steps


async def test_images_to_fetch_are_found_by_steps_through_their_index(
    planner: sqlite3.Connection,
) -> None:
    hosts, jobs, offers, begun = (
        plan(planner, STATEMENTS[name])
        for name in ("hosts_to_fetch", "jobs_to_fetch", "fetch_offers", "begin_fetches")
    )
    search = "SEARCH images USING INDEX images_to_fetch"
    assert f"{search} (fetch_rank=? AND fetch_host>?)" in hosts
    assert f"{search}_by_job (fetch_rank=? AND job_id>?)" in jobs
    assert f"{search}_by_job (fetch_rank=? AND job_id=? AND fetch_host>?)" in offers
    assert f"{search} (fetch_rank=? AND fetch_host=? AND job_id>?)" in begun
    assert begun[-1] == "SEARCH images USING INTEGER PRIMARY KEY (rowid=?)"


@pytest.mark.parametrize("name", ["delay_fetches", "give_up_fetches"])
async def test_images_that_begin_to_wait_for_a_host_are_found_by_it(
    planner: sqlite3.Connection, name: str
) -> None:
    steps = plan(planner, STATEMENTS[name])
    search = "SEARCH first USING INDEX images_to_fetch (fetch_rank=? AND fetch_host=?)"
    assert search in steps
    assert not any("TEMP B-TREE FOR ORDER BY" in step for step in steps)


async def test_images_that_wait_until_one_time_are_found_by_it(planner: sqlite3.Connection) -> None:
    steps = plan(planner, STATEMENTS["recall_fetches"])
    assert "SEARCH later USING INDEX images_to_fetch_later (fetch_at=?)" in steps


async def test_a_host_is_looked_up_among_the_busy_ones(store: Store, database: Path) -> None:
    """And not compared with each of them: the steps grow with the hosts, not with their square."""
    hosts = [f"{number:03}.example" for number in range(320)]
    images = [url_image(f"http://{host}/", None) for host in hosts]
    job = await store.create_job(new_job(), images, 1_000)

    def count_steps(busy: int) -> int:
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 1

        asked = {"rank": job.priority.rank, "jobs": json.dumps([[job.id, ""]]), "limit": 1}
        with closing(sqlite3.connect(database)) as connection:
            connection.set_progress_handler(count, 1)
            parameters = {**asked, "busy": json.dumps(hosts[:busy])}
            rows = connection.execute(STATEMENTS["fetch_offers"], parameters).fetchall()
        assert rows == [(job.id, "", hosts[busy])]
        return steps

    assert await asyncio.to_thread(count_steps, 300) < 15 * await asyncio.to_thread(count_steps, 30)


async def test_a_claim_reads_no_row_of_an_image_that_it_passes_over(
    planner: sqlite3.Connection,
) -> None:
    for name in ("claim_images", "next_try"):
        searches = [s for s in plan(planner, STATEMENTS[name]) if "images_claimable" in s]
        assert searches
        assert all("USING COVERING INDEX" in search for search in searches)
