"""A database that is damaged, or is not ours, is left as it is, and the start says what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from imgsvc.domain.ids import new_id
from imgsvc.errors import StartError
from imgsvc.store import examination, wal
from imgsvc.store.copying import copy_database
from imgsvc.store.examination import Damage, check_copy, examine
from imgsvc.store.store import Store
from tests.store.builders import claim, create, made

PAGE_BYTES = 4096


@pytest.fixture
async def full(database: Path) -> Path:
    """A closed database of a few hundred pages."""
    store = await Store.open(database)
    job = await create(store, 1500)
    await store.finish_images([made(i) for i in await claim(store, job, 700)], 3_000)
    await store.close()
    return database


def _overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def _edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def _page_of(path: Path, name: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,))
        (page,) = rows.fetchone()
    return int(page)


def _rewrite_schema(path: Path, statement: str) -> None:
    """As only somebody does who wants to see it break."""
    _edit(path, "PRAGMA writable_schema = ON", statement)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file cut short": (lambda p: os.truncate(p, p.stat().st_size // 2), "is damaged"),
    "half a page missing": (lambda p: os.truncate(p, p.stat().st_size - 2048), "is damaged"),
    "a page of zeros": (lambda p: _overwrite(p, 60 * PAGE_BYTES, bytes(PAGE_BYTES)), "is damaged"),
    "zeros at its beginning": (lambda p: _overwrite(p, 0, bytes(PAGE_BYTES)), "is damaged"),
    "a broken header": (lambda p: _overwrite(p, 16, b"\xff" * 60), "is damaged"),
    "a file of something else": (lambda p: p.write_text("holiday notes\n" * 999), "is damaged"),
    "a root page of another kind": (
        lambda p: _overwrite(p, (_page_of(p, "images_in_state") - 1) * PAGE_BYTES, b"\x00\x01\x02"),
        "is damaged",
    ),
    "an index that is missing": (lambda p: _edit(p, "DROP INDEX images_newest"),
        "the index images_newest is missing"),
    "a table that is missing": (lambda p: _edit(p, "DROP TABLE deliveries"), "deliveries"),
    "a column that is missing": (
        lambda p: _edit(p, "ALTER TABLE presets DROP COLUMN updated_at"),
        "the column presets.updated_at is missing",
    ),
    "rows whose job is missing": (
        lambda p: _edit(p, "PRAGMA foreign_keys = OFF", "DELETE FROM jobs"),
        "a row of images belongs to one of jobs that is not there",
    ),
    "a row against the rules": (
        lambda p: _edit(
            p, "PRAGMA ignore_check_constraints = ON", "UPDATE images SET state = '' WHERE idx = 7"
        ),
        "CHECK constraint failed",
    ),
    "another program's database": (
        lambda p: _edit(p, "PRAGMA application_id = 7"), "belongs to another program"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
async def test_what_is_damaged_is_refused_with_what_to_do_and_left_alone(
    full: Path, what: str
) -> None:
    damage, said = DAMAGES[what]
    damage(full)
    before = full.read_bytes()
    with pytest.raises(StartError) as caught:
        await Store.open(full)
    assert said in caught.value.message
    assert str(full) in caught.value.message
    if "belongs" not in said:
        assert f"unzip backup.zip -d {full.parent}" in caught.value.message
    assert full.read_bytes() == before


async def test_another_programs_database_without_a_mark_is_known_by_its_tables(
    database: Path,
) -> None:
    _edit(database, "CREATE TABLE notes (x)", "PRAGMA user_version = 3")
    with pytest.raises(StartError, match="another program"):
        await Store.open(database)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("notes",)]


@pytest.mark.parametrize("name", [b"caf\xe9", b"a?b#c%20d e'f"])
async def test_a_database_is_sound_whatever_its_folder_is_called(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    folder = tmp_path / os.fsdecode(name)
    folder.mkdir()
    full.rename(folder / full.name)
    monkeypatch.chdir(tmp_path)
    for path in (folder / full.name, Path(folder.name) / full.name):
        store = await Store.open(path)
        await store.copy_to(tmp_path / "copy.db")
        await store.close()
        (tmp_path / "copy.db").unlink()
    assert await _count_jobs(path) == 1


async def test_an_index_that_somebody_has_added_harms_nobody(full: Path) -> None:
    _edit(full, "CREATE INDEX mine ON images (name)", "ANALYZE")
    await (await Store.open(full)).close()


async def test_a_large_database_is_checked_for_its_structure_alone(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "SMALL_BYTES", 1)
    _edit(full, "PRAGMA ignore_check_constraints = ON", "UPDATE images SET state = 'lost'")
    await (await Store.open(full)).close()
    _overwrite(full, 60 * PAGE_BYTES, bytes(PAGE_BYTES))
    with pytest.raises(StartError, match="is damaged"):
        await Store.open(full)


async def test_a_check_that_takes_too_long_is_cut_short(
    full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "CHECK_S", 0.0)
    monkeypatch.setattr(examination, "_STEPS_BETWEEN_LOOKS", 10)
    with capture_logs() as logs:
        await (await Store.open(full)).close()
    assert logs[0]["event"] == "database_half_checked"


async def _killed(database: Path, folder: Path, commits: int = 9) -> Path:
    """A database as a kill leaves it: commits that stand in its log alone."""
    store = await Store.open(database)
    for _ in range(commits):
        await create(store, 1)
    folder.mkdir()
    for part in ("", "-wal"):
        shutil.copy(f"{database}{part}", folder / f"imgsvc.db{part}")
    await store.close()
    return folder / "imgsvc.db"


async def _count_jobs(database: Path) -> int:
    store = await Store.open(database)
    jobs, _ = await store.jobs(limit=99)
    await store.close()
    return len(jobs)


async def test_what_stood_in_the_log_alone_is_there_after_a_kill(
    database: Path, tmp_path: Path
) -> None:
    assert await _count_jobs(await _killed(database, tmp_path / "killed")) == 9


@pytest.mark.parametrize("offset", [0, 8, 17, 30])
async def test_a_log_with_a_broken_beginning_is_refused_and_can_be_moved_away(
    database: Path, tmp_path: Path, offset: int
) -> None:
    killed = await _killed(database, tmp_path / "killed")
    log = killed.with_name("imgsvc.db-wal")
    _overwrite(log, offset, bytes([log.read_bytes()[offset] ^ 0xFF]))  # parts of it are random
    before = log.read_bytes()
    with pytest.raises(StartError, match=r"log .* is damaged") as caught:
        await Store.open(killed)
    jobs, count = log.with_name("jobs"), log.with_name("imgsvc.db-commits")
    advice = f"cp -al {jobs} {jobs}.saved\n  rm -f {count}\n  mv {log} {log}.damaged\n"
    assert advice in caught.value.message
    assert log.read_bytes() == before
    log.rename(f"{log}.damaged")
    assert await _count_jobs(killed) == 0


async def test_a_log_that_is_damaged_in_its_middle_is_refused(
    database: Path, tmp_path: Path
) -> None:
    killed = await _killed(database, tmp_path / "killed")
    log = killed.with_name("imgsvc.db-wal")
    _overwrite(log, log.stat().st_size // 2, b"\xde\xad\xbe\xef")
    before = log.read_bytes()
    for _ in range(2):  # a refusal destroys no evidence
        with pytest.raises(StartError, match="commits in it cannot be read"):
            await Store.open(killed)
    assert log.read_bytes() == before


async def test_a_last_commit_that_a_power_cut_tore_is_passed_over(
    database: Path, tmp_path: Path
) -> None:
    killed = await _killed(database, tmp_path / "killed")
    log = killed.with_name("imgsvc.db-wal")
    os.truncate(log, log.stat().st_size - 1000)
    assert await _count_jobs(killed) == 8
    again = await _killed(database, tmp_path / "again")
    log = again.with_name("imgsvc.db-wal")
    _overwrite(log, log.stat().st_size - 1000, bytes(1000))
    assert await _count_jobs(again) >= 17


_ASK_FOR_LOCKS = """
import fcntl, sys
for end, at, length in (("", 0x40000002, 510), ("-shm", 128, 1)):
    with open(sys.argv[1] + end, "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, at)
        except OSError:
            print("kept")
"""
"""Who has the first is the last to have the database, and who has the second makes its index anew
(SQLite's os.h and os_unix.c)."""


async def test_nobody_has_the_log_for_himself_while_it_is_examined(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As doctor, which would remove it, or make its index anew, under a server that starts."""
    killed = await _killed(database, tmp_path / "killed")
    check, said = examination._check_references, []

    def ask(connection: sqlite3.Connection, limit_s: float) -> None:
        asking = [sys.executable, "-c", _ASK_FOR_LOCKS, str(killed)]
        said.append(subprocess.run(asking, capture_output=True, text=True, check=True).stdout)
        check(connection, limit_s)

    monkeypatch.setattr(examination, "_check_references", ask)
    await asyncio.to_thread(examine, killed)
    assert said == ["kept\nkept\n"]


@pytest.mark.parametrize("content", [b"", bytes(32), bytes(4096), b"\x37\x7f\x06"])
async def test_a_log_that_a_power_cut_left_empty_is_no_damage(full: Path, content: bytes) -> None:
    full.with_name("imgsvc.db-wal").write_bytes(content)
    await (await Store.open(full)).close()


async def test_garbage_beside_a_database_is_no_log(full: Path) -> None:
    full.with_name("imgsvc.db-wal").write_bytes(b"garbage, and no log of anything" * 300)
    with pytest.raises(StartError, match="its beginning is not that of a log"):
        await Store.open(full)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.floats(0, 1, exclude_max=True), length=st.integers(1, 9000), seed=st.binary(min_size=1)
)
def test_whatever_is_overwritten_the_examination_ends_in_a_verdict(
    tmp_path_factory: pytest.TempPathFactory, at: float, length: int, seed: bytes
) -> None:
    """It may be that nothing notices: content is no structure. But nothing else is raised."""
    model = tmp_path_factory.getbasetemp() / "model.db"
    if not model.exists():
        _make_model(model)
    copy = tmp_path_factory.getbasetemp() / "overwritten.db"
    shutil.copy(model, copy)
    size = copy.stat().st_size
    start = int(at * size)
    content = (seed * length)[: min(length, size - start)]
    _overwrite(copy, start, content)
    for part in ("-wal", "-shm"):
        Path(f"{copy}{part}").unlink(missing_ok=True)
    try:
        examine(copy)
    except StartError as exc:
        assert str(copy) in exc.message  # noqa: PT017 - either end is right


def _make_model(path: Path) -> None:
    from imgsvc.store.scripts import load_scripts

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for _, script in sorted(load_scripts().items()):
            connection.executescript(script)
        presets = [(f"p{n}", '{"variants":[]}' + " " * 300, n) for n in range(400)]
        with connection:
            connection.executemany("INSERT INTO presets VALUES (?, ?, ?)", presets)


async def test_a_copy_is_checked_too(full: Path, tmp_path: Path) -> None:
    _overwrite(full, 60 * PAGE_BYTES, bytes(PAGE_BYTES))
    copy = tmp_path / "copy.db"
    await asyncio.to_thread(copy_database, full, copy)
    with pytest.raises(Damage):
        await asyncio.to_thread(check_copy, copy)


def test_what_stands_among_the_folders_of_jobs_is_no_job_that_a_missing_database_lacks(
    tmp_path: Path,
) -> None:
    for name in ("lost-files", "my-photos"):
        (tmp_path / "jobs" / name).mkdir(parents=True)
    assert examine(tmp_path / "imgsvc.db") == 0
    (tmp_path / "jobs" / new_id()).mkdir()
    with pytest.raises(StartError, match="jobs have files here: 1"):
        examine(tmp_path / "imgsvc.db")


def test_a_log_that_is_not_there_has_lost_nothing(tmp_path: Path) -> None:
    assert not wal.has_broken_header(tmp_path / "no-wal")
    with ExitStack() as later:
        assert wal.count_lost_commits(tmp_path / "no-wal", tmp_path / "no-shm", later) == 0
