from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from imgsvc.errors import StartError
from imgsvc.store import examination, schema
from imgsvc.store.scripts import load_scripts
from imgsvc.store.store import Store
from tests.store.builders import create

SCRIPTS = load_scripts()


def _add_steps(monkeypatch: pytest.MonkeyPatch, *bodies: str) -> None:
    """What a next version would add to the schema."""
    scripts = dict(SCRIPTS)
    newest = max(scripts)
    for number, body in enumerate(bodies, start=newest + 1):
        scripts[number] = f"-- A step.\nBEGIN IMMEDIATE;\n\n{body}\nCOMMIT;\n"
    for module in (schema, examination):
        monkeypatch.setattr(module, "load_scripts", lambda: scripts)


IMAGE_COLUMNS = [
    "job_id", "idx", "id", "name", "state", "attempts", "claim", "kind", "url", "path",
    "size_bytes", "sha256", "error_code", "error_message", "last_error_code",
    "last_error_message", "warnings", "input", "outputs", "memory_bytes", "not_before",
    "started_at", "finished_at", "duration_ms", "reuse_key", "cost_ms",
    "analysis", "fetch_host", "fetch_at", "fetch_max_bytes", "fetch_rank",
    "interruptions", "alone_claim", "fetch_way", "crashed",
]  # fmt: skip


@pytest.fixture
async def raw(store: Store, database: Path) -> AsyncIterator[sqlite3.Connection]:
    """A connection beside the store's, on a job with one pending image."""
    await create(store, 1)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        yield connection


async def test_a_database_survives_being_opened_again(database: Path) -> None:
    store = await Store.open(database)
    job = await create(store, 2)
    await store.close()
    assert not database.with_name("imgsvc.db-wal").exists()
    store = await Store.open(database)
    assert await store.job(job.id) == job
    await store.close()


async def test_a_database_of_a_newer_program_is_refused(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 9999")
    with pytest.raises(StartError, match="newer imgsvc"):
        await Store.open(database)


async def test_a_file_that_is_no_database_is_refused(database: Path) -> None:
    database.write_bytes(b"these are my holiday notes" * 400)
    with pytest.raises(StartError):
        await Store.open(database)
    assert database.read_bytes().startswith(b"these are")


async def test_a_migration_that_fails_leaves_nothing_behind(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await Store.open(database)).close()
    with closing(sqlite3.connect(database)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    _add_steps(
        monkeypatch,
        f"CREATE TABLE half (x);\nPRAGMA user_version = {version + 1};",
        "INSERT INTO nowhere VALUES (1);",
    )
    with pytest.raises(StartError, match=f"Migration {version + 2} .* the version before"):
        await Store.open(database)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == version
        assert not connection.execute("SELECT 1 FROM sqlite_schema WHERE name='half'").fetchall()


async def test_the_steps_to_a_new_schema_are_one_transaction(database: Path) -> None:
    for number, script in sorted(SCRIPTS.items()):
        assert f"PRAGMA user_version = {number};" in schema._body((number, script))
    with pytest.raises(ValueError, match="migration 9"):
        schema._body((9, "CREATE TABLE loose (x);"))


async def test_a_database_is_copied_before_its_schema_changes_and_only_the_last_copy_is_kept(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(database)
    job = await create(store, 2)
    await store.close()
    assert list(database.parent.glob("*.schema-*")) == []
    first = max(SCRIPTS)
    for version in (first, first + 1):
        table = f"CREATE TABLE later_{version} (x);\nPRAGMA user_version = {version + 1};"
        with monkeypatch.context() as patch:
            steps = [f"PRAGMA user_version = {n + 1};" for n in range(first, version)]
            _add_steps(patch, *steps, table)
            await (await Store.open(database)).close()
        copies = [path.name for path in database.parent.glob("imgsvc.schema-*")]
        assert copies == [f"imgsvc.schema-{version}.db"]
        assert not database.with_name(copies[0]).stat().st_mode & 0o007
        if version == first:  # the program that goes back finds all as it was
            database.with_name(copies[0]).rename(database.with_name("old.db"))
    store = await Store.open(database.with_name("old.db"))
    assert await store.job(job.id) == job
    await store.close()


async def test_without_room_for_a_copy_the_schema_stays_as_it_is(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await Store.open(database)).close()
    _add_steps(monkeypatch, "CREATE TABLE later (x);")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=1000, free=100))
    with pytest.raises(StartError, match="free disk space"):
        await Store.open(database)
    assert list(database.parent.glob("*schema*")) == []


async def test_the_pragmas_are_as_the_design_wants_them(store: Store) -> None:
    async def pragma(name: str) -> object:
        rows = await store._connection.execute_fetchall(f"PRAGMA {name}")
        return next(iter(rows))[0]

    assert await pragma("journal_mode") == "wal"
    assert await pragma("synchronous") == 2
    assert await pragma("foreign_keys") == 1
    for reader in store._readers._connections:
        rows = list(await reader.execute_fetchall("PRAGMA query_only"))
        assert rows[0][0] == 1


async def test_images_have_the_columns_their_conversion_expects(raw: sqlite3.Connection) -> None:
    columns = [row[1] for row in raw.execute("PRAGMA table_info(images)")]
    assert columns == IMAGE_COLUMNS


@pytest.mark.parametrize(
    "change",
    [
        "state = 'failed', finished_at = 1",
        "error_code = 'timeout', error_message = ''",
        "state = 'completed', started_at = 1",
        "state = 'cancelled'",
        "finished_at = 1",
        "state = 'processing'",
        "started_at = 1",
        "outputs = '[[]]'",
        "attempts = 1",
        "attempts = -1",
        "state = 'cancelled', finished_at = 1, not_before = 1",
        "state = 'cancelled', finished_at = 1, last_error_code = 'a', last_error_message = 'b'",
        "state = 'lost'",
        "claim = 'x'",
        "job_id = 'none'",
        "outputs = '['",
    ],
)
async def test_the_table_refuses_an_image_against_the_rules(
    raw: sqlite3.Connection, change: str
) -> None:
    raw.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(f"UPDATE images SET {change}")  # noqa: S608 - it is written above


@pytest.mark.parametrize(
    "change",
    [
        "completed = 2",
        "failed = -1",
        "completed = 1",
        "state = 'completed', finished_at = 1, expires_at = 1",
        "state = 'failed', finished_at = 1, expires_at = 1, completed = 1",
        "state = 'partial', finished_at = 1, expires_at = 1, completed = 1",
        "state = 'completed', finished_at = 1, expires_at = 1, completed = 1, open = 1",
        "state = 'completed', finished_at = 1, completed = 1",
        "expires_at = 1",
        "finished_at = 1",
        "state = 'fetching'",
        "errors = '{'",
    ],
)
async def test_the_table_refuses_a_job_against_the_rules(
    raw: sqlite3.Connection, change: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(f"UPDATE jobs SET {change}")  # noqa: S608 - it is written above
