"""A quota that is used up is a full disk, which passes, and no broken one, which does not."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from imgsvc.store.examination import explain
from imgsvc.store.room import find_obstacle
from imgsvc.workers import seccomp
from imgsvc.workers.syscalls import find_machine


def _can_filter() -> bool:
    machine = find_machine()
    return machine is not None and seccomp.is_available(machine)


@pytest.mark.skipif(not _can_filter(), reason="this machine has no filters")
def test_writes_wait_for_room_in_a_quota_as_on_a_full_disk(database: Path) -> None:
    _run(database, "EDQUOT")


@pytest.mark.skipif(not _can_filter(), reason="this machine has no filters")
def test_a_disk_that_became_read_only_ends_the_store_which_says_so(database: Path) -> None:
    _run(database, "EROFS")


def _run(database: Path, error: str) -> None:
    command = [sys.executable, "-m", "tests.store.quota", str(database), error]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_write_that_fails_although_there_is_room_is_a_disk_that_fails(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    assert find_obstacle(tmp_path) is None
    assert "The disk under the database" in explain(tmp_path / "imgsvc.db", error).message
    assert list(tmp_path.iterdir()) == []
