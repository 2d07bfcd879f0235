"""A database whose files are moved, replaced or removed while it is in use."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from imgsvc.errors import DatabaseBroken, ShuttingDown, StartError
from imgsvc.store.examination import check_inputs
from imgsvc.store.store import Store
from tests.open_files import no_more_files
from tests.store.builders import create


def _remove_log(database: Path) -> None:
    database.with_name("imgsvc.db-wal").unlink()


def _replace(database: Path) -> None:
    shutil.copy(database, database.with_name("copy.db"))
    database.with_name("copy.db").replace(database)


def _move(database: Path) -> None:
    database.rename(database.with_name("moved.db"))


def _close_the_way(database: Path) -> None:
    _move(database)
    database.symlink_to(database)  # nobody gets there, and that does not pass


def _fail(*_: object, **__: object) -> None:
    raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


async def test_a_look_that_fails_is_no_loss(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(database)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", _fail)
        job = await create(store, 1)
        assert await store.wal_bytes() == 0
    assert (await store.job(job.id)).total == 1
    await store.close()


async def test_a_database_may_be_a_link_to_one_elsewhere(database: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    await (await Store.open(database)).close()
    database.rename(elsewhere / "real.db")
    database.symlink_to(elsewhere / "real.db")
    store = await Store.open(database)
    await create(store, 1)
    assert await store.wal_bytes() > 0
    (elsewhere / "real.db-wal").unlink()
    with pytest.raises(ShuttingDown):
        await create(store, 1)
    await store.close()


@pytest.mark.parametrize(
    ("deed", "advice"),
    [
        (_remove_log, "start it again"),
        (_replace, "Put it back"),
        (_move, "Put it back"),
        (_close_the_way, "Put it back"),
    ],
)
async def test_nothing_is_acknowledged_that_would_be_gone_with_the_process(
    database: Path, deed: Callable[[Path], None], advice: str
) -> None:
    store = await Store.open(database)
    await create(store, 1)
    deed(database)
    with capture_logs() as logs:
        with pytest.raises(ShuttingDown):
            await create(store, 1)
        with pytest.raises(DatabaseBroken, match="moved, replaced or removed"):
            await store.watch()
        await store.close()
    assert [log["event"] for log in logs] == ["database_broken"]
    assert advice in logs[0]["advice"]
    assert "damaged" not in str(logs)


async def test_it_is_noticed_while_nothing_is_written(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgsvc.store.store.LOOK_EVERY_S", 0.01)
    store = await Store.open(database)
    watching = asyncio.create_task(store.watch())
    _move(database)
    with pytest.raises(DatabaseBroken, match="moved, replaced or removed"):
        await watching
    await store.close()


async def test_what_stood_in_a_log_that_was_removed_is_saved(database: Path) -> None:
    store = await Store.open(database)
    job = await create(store, 3)
    _remove_log(database)
    await store.close()
    store = await Store.open(database)
    assert (await store.job(job.id)).total == 3
    await store.close()


@pytest.mark.parametrize("can_look", [True, False])
async def test_another_log_in_the_place_of_the_own_stays(
    database: Path, monkeypatch: pytest.MonkeyPatch, can_look: bool
) -> None:
    store = await Store.open(database)
    await create(store, 1)
    _remove_log(database)
    other = database.with_name("imgsvc.db-wal")
    other.write_bytes(b"another log")
    with monkeypatch.context() as patch:
        if not can_look:
            patch.setattr(Path, "stat", _fail)
        await store.close()
    assert other.read_bytes() == b"another log"


async def test_whoever_works_in_the_same_place_keeps_the_log(tmp_path: Path) -> None:
    """The folder was moved away, and another server started where it had been."""
    (tmp_path / "data").mkdir()
    database = tmp_path / "data" / "imgsvc.db"
    first = await Store.open(database)
    await create(first, 1)
    (tmp_path / "data").rename(tmp_path / "moved")
    (tmp_path / "data").mkdir()
    second = await Store.open(database)
    job = await create(second, 2)
    await first.close()
    await second.ping_writable()
    with closing(sqlite3.connect(database)) as other:
        assert other.execute("SELECT total FROM jobs WHERE id = ?", (job.id,)).fetchone() == (2,)
    await second.close()
    moved = await Store.open(tmp_path / "moved" / "imgsvc.db")
    assert [one.total for one in (await moved.jobs(limit=9))[0]] == [1]
    await moved.close()


async def test_wherever_a_start_finds_too_many_files_open_it_says_what_to_do(
    database: Path,
) -> None:
    await (await Store.open(database)).close()
    refusals = []
    for most in count(3):
        store = None
        try:
            with no_more_files(most):
                store = await Store.open(database)
                await asyncio.to_thread(check_inputs, database)
        except StartError as exc:
            refusals.append(exc.message)
        else:
            break
        finally:
            if store is not None:
                await store.close()
    assert refusals
    assert [message for message in refusals if "is damaged" in message] == []
