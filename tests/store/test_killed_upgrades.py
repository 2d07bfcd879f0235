"""A start that is killed while it brings the schema up to date is done again by the next."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from imgsvc.store.scripts import load_scripts
from imgsvc.store.store import Store
from tests.store.builders import create

NEWEST = max(load_scripts())

UPGRADE = """
import asyncio, os, signal, sys
from pathlib import Path
from imgsvc.store import examination, schema
from imgsvc.store.store import Store

moment = sys.argv[2]
newest = max(schema.load_scripts())
step = f"CREATE TABLE later (x); SELECT die(); PRAGMA user_version = {newest + 1};"
scripts = schema.load_scripts() | {newest + 1: f"BEGIN IMMEDIATE;\\n{step}\\nCOMMIT;\\n"}
schema.load_scripts = lambda: scripts
examination.load_scripts = lambda: {n: s.replace("SELECT die();", "") for n, s in scripts.items()}

def die_at(name):
    if name == moment:
        os.kill(os.getpid(), signal.SIGKILL)

def copy_database(source, target, real=schema.copy_database):
    die_at("before the copy")
    real(source, target)
    die_at("after the copy")

async def apply(connection, path, steps, real=schema._apply):
    await connection.create_function("die", 0, lambda: die_at("between two statements"))
    die_at("before the steps")
    await real(connection, path, steps)
    die_at("after the steps")

schema.copy_database, schema._apply = copy_database, apply

async def upgrade():
    await (await Store.open(Path(sys.argv[1]))).close()

asyncio.run(upgrade())
"""


def _upgrade(database: Path, moment: str) -> int:
    return subprocess.run(
        [sys.executable, "-c", UPGRADE, str(database), moment], check=False, timeout=30
    ).returncode


@pytest.mark.parametrize(
    "moment",
    [
        "before the copy",
        "after the copy",
        "before the steps",
        "between two statements",
        "after the steps",
    ],
)
async def test_an_upgrade_that_was_killed_is_done_again_and_leaves_nothing_else(
    database: Path, moment: str
) -> None:
    store = await Store.open(database)
    job = await create(store, 3)
    await store.close()
    assert _upgrade(database, moment) == -signal.SIGKILL
    assert _upgrade(database, "never") == 0
    copy = database.with_name(f"imgsvc.schema-{NEWEST}.db")
    names = [path.name for path in database.parent.iterdir()]
    assert sorted(names) == ["imgsvc.db", "imgsvc.db-commits", copy.name]
    with closing(sqlite3.connect(database)) as upgraded:
        assert upgraded.execute("PRAGMA user_version").fetchone() == (NEWEST + 1,)
        assert upgraded.execute("SELECT id, total FROM jobs").fetchall() == [(job.id, 3)]
        assert upgraded.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    old = await Store.open(copy)
    assert await old.job(job.id) == job
    await old.close()
