"""A start knows whether commits are missing, and takes nothing else for that."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from imgsvc.errors import StartError
from imgsvc.store.commit_count import CommitCount, Commits, count_file, read_count
from imgsvc.store.copying import copy_database
from imgsvc.store.examination import examine
from imgsvc.store.store import Store
from tests.store.builders import create

PARTS = ("", "-wal", "-commits")


async def _work(database: Path, jobs: int) -> None:
    store = await Store.open(database)
    for _ in range(jobs):
        await create(store, 1)
    await store.close()


@pytest.fixture
async def killed(database: Path, tmp_path: Path) -> Path:
    """As a kill leaves it: nine commits, which stand in the log alone."""
    await _work(database, 1)
    store = await Store.open(database)
    for _ in range(9):
        await create(store, 1)
    (tmp_path / "killed").mkdir()
    for part in PARTS:
        shutil.copy(f"{database}{part}", tmp_path / "killed" / f"imgsvc.db{part}")
    await store.close()
    return tmp_path / "killed" / "imgsvc.db"


async def test_the_number_beside_a_database_is_that_of_its_commits(database: Path) -> None:
    await _work(database, 3)
    before = await asyncio.to_thread(read_count, database)
    await _work(database, 5)
    after = await asyncio.to_thread(read_count, database)
    assert before is not None
    assert after == (before.token, before.number + 5)


async def test_a_start_says_how_many_commits_are_missing_and_changes_nothing(
    killed: Path,
) -> None:
    killed.with_name("imgsvc.db-wal").unlink()
    before = killed.read_bytes(), count_file(killed).read_bytes()
    for _ in range(2):
        with pytest.raises(StartError, match="lacks its last commits: 9"):
            await Store.open(killed)
    assert (killed.read_bytes(), count_file(killed).read_bytes()) == before


async def test_an_older_database_in_its_place_is_noticed(database: Path, tmp_path: Path) -> None:
    await _work(database, 1)
    await asyncio.to_thread(copy_database, database, tmp_path / "older.db")
    await _work(database, 2)
    (tmp_path / "older.db").replace(database)
    with pytest.raises(StartError, match="older database"):
        await Store.open(database)
    count_file(database).unlink()  # as the message says
    await _work(database, 1)
    await asyncio.to_thread(examine, database)


async def test_after_a_kill_nothing_is_missing(killed: Path) -> None:
    await _work(killed, 1)
    await asyncio.to_thread(examine, killed)


async def test_a_log_that_another_program_has_saved_into_the_database_is_not_missed(
    killed: Path,
) -> None:
    with closing(sqlite3.connect(killed)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await asyncio.to_thread(examine, killed)


async def test_a_log_that_was_cut_to_nothing_is_not_missed(database: Path, tmp_path: Path) -> None:
    store = await Store.open(database)
    await create(store, 3)
    assert await store.shrink_wal()
    for part in ("", "-commits"):
        shutil.copy(f"{database}{part}", tmp_path / f"copy.db{part}")
    await store.close()
    await asyncio.to_thread(examine, tmp_path / "copy.db")


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"00 many\n", b"0 99999999999999999999\n", b"0 1 " * 99]
)
async def test_a_file_that_says_nothing_of_this_database_is_no_obstacle(
    killed: Path, content: bytes
) -> None:
    killed.with_name("imgsvc.db-wal").unlink()
    count_file(killed).write_bytes(content)
    await _work(killed, 1)
    await asyncio.to_thread(examine, killed)
    assert await asyncio.to_thread(read_count, killed) is not None


def test_while_nothing_is_committed_nothing_is_written(tmp_path: Path) -> None:
    database = tmp_path / "imgsvc.db"
    database.touch()
    count = CommitCount(database, Commits("token", 7))
    count.note(1)
    count_file(database).write_bytes(b"")
    count.note(1)
    assert read_count(database) is None
    count.note(2)
    assert read_count(database) == ("token", 9)
    count.close()


async def test_a_new_database_beside_an_old_count_is_no_older_one(database: Path) -> None:
    await _work(database, 5)
    database.unlink()
    await _work(database, 1)
    await asyncio.to_thread(examine, database)


async def test_where_the_count_cannot_be_kept_all_goes_on(database: Path) -> None:
    count_file(database).mkdir()
    await _work(database, 1)
    await asyncio.to_thread(examine, database)
