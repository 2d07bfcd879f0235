"""`doctor`, and data folders of which no backup is made."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import Result

from imgsvc.client import SyncClient
from imgsvc.domain.ids import new_id
from imgsvc.imaging.formats import list_formats
from imgsvc.store.lock import DataFolderLock
from imgsvc.workers.landlock import get_version
from imgsvc.workers.sandbox import find_gaps
from tests.cli.commands import run
from tests.server_process import ServerProcess


def verdicts(result: Result) -> dict[str, str]:
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    return {subject: sign for sign, subject, *_ in lines}


def test_doctor_finds_nothing_wrong_beside_a_running_server(server: ServerProcess) -> None:
    result = run("doctor", "--data", server.data_dir)
    assert result.exit_code == 0, result.output
    found = verdicts(result)
    assert {"versions", "formats", "settings", "disk", "database", "server"} <= found.keys()
    assert "✗" not in found.values()
    assert server.url in result.stdout


def test_doctor_names_the_formats_and_what_an_extra_would_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("doctor", "--data", tmp_path / "data", "--json")
    fact = next(f for f in json.loads(result.stdout) if f["subject"] == "formats")
    assert set(list_formats().read) <= set(re.findall(r"\w+", fact["fact"]))
    assert fact["advice"] == ""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'pillow_jxl' else find(name, *rest)\n"
    )
    result = run("doctor", "--data", tmp_path / "data", "--json")
    fact = next(f for f in json.loads(result.stdout) if f["subject"] == "formats")
    assert (fact["verdict"], fact["advice"]) == ("ok", "For JPEG XL: pip install 'imgsvc[formats]'")


@pytest.mark.skipif(bool(find_gaps()), reason="this machine cannot confine a process")
def test_doctor_tries_whether_workers_can_be_confined(tmp_path: Path) -> None:
    result = run("doctor", "--data", tmp_path / "data", "--json")
    fact = next(f for f in json.loads(result.stdout) if f["subject"] == "sandbox")
    assert (fact["verdict"], fact["advice"]) == ("ok", "")
    assert f"Landlock {get_version()}" in fact["fact"]


def test_doctor_warns_of_workers_that_are_not_confined(tmp_path: Path) -> None:
    env = {"IMGSVC_WORKERS__SANDBOX": "off"}
    result = run("doctor", "--data", tmp_path / "data", "--json", **env)
    fact = next(f for f in json.loads(result.stdout) if f["subject"] == "sandbox")
    assert (fact["verdict"], fact["fact"]) == ("warning", "switched off")


@pytest.mark.parametrize(("mode", "verdict"), [("auto", "warning"), ("required", "problem")])
def test_doctor_says_what_a_kernel_cannot_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, verdict: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from imgsvc.workers import landlock\nlandlock.get_version = lambda: 0\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    env = {"IMGSVC_WORKERS__SANDBOX": mode}
    result = run("doctor", "--data", tmp_path / "data", "--json", **env)
    fact = next(f for f in json.loads(result.stdout) if f["subject"] == "sandbox")
    assert fact["verdict"] == verdict
    assert "no Landlock" in fact["fact"]


def test_doctor_says_what_to_do_about_a_damaged_database(tmp_path: Path) -> None:
    ServerProcess(tmp_path / "data").stop()
    database = tmp_path / "data" / "imgsvc.db"
    content = bytearray(database.read_bytes())
    content[4096:12288] = bytes(8192)
    database.write_bytes(content)
    result = run("doctor", "--data", tmp_path / "data")
    assert result.exit_code == 1
    assert verdicts(result)["database"] == "✗"
    assert "backup" in result.stdout


def test_doctor_finds_nothing_wrong_with_a_database_that_holds_nothing_yet(
    tmp_path: Path,
) -> None:
    with closing(sqlite3.connect(tmp_path / "imgsvc.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    result = run("doctor", "--data", tmp_path)
    assert (result.exit_code, verdicts(result)["database"]) == (0, "ok")


@pytest.mark.parametrize("lose", [0, 1])
def test_no_backup_is_made_of_a_database_that_lacks_what_its_folder_has(
    tmp_path: Path, lose: int
) -> None:
    ServerProcess(tmp_path / "data").stop()
    (_leave_no_tables, _lose_commits)[lose](tmp_path / "data")
    result = run("backup", tmp_path / "all.zip", "--data", tmp_path / "data")
    assert result.exit_code == 2
    assert "Nothing was changed" in result.stderr
    assert not (tmp_path / "all.zip").exists()


def _lose_database(data_dir: Path) -> None:
    (data_dir / "jobs" / new_id()).mkdir()
    (data_dir / "imgsvc.db").unlink()


def _leave_no_tables(data_dir: Path) -> None:
    _lose_database(data_dir)
    with closing(sqlite3.connect(data_dir / "imgsvc.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _lose_commits(data_dir: Path) -> None:
    with closing(sqlite3.connect(data_dir / "imgsvc.db")) as connection, connection:
        connection.execute("UPDATE commits SET number = number - 1")


def _be_newer(data_dir: Path) -> None:
    with closing(sqlite3.connect(data_dir / "imgsvc.db")) as connection:
        connection.execute("PRAGMA user_version = 9999")


def _spoil_log(data_dir: Path) -> None:
    (data_dir / "imgsvc.db-wal").write_bytes(b"no log" * 99)


def _put_folder_for_lock(data_dir: Path) -> None:
    (data_dir / "lock").unlink()
    (data_dir / "lock").mkdir()


STOPPERS: dict[str, tuple[str, Callable[[Path], object], dict[str, str]]] = {
    "no database": ("database", _lose_database, {}),
    "a database without tables": ("database", _leave_no_tables, {}),
    "commits that are missing": ("database", _lose_commits, {}),
    "a newer schema": ("database", _be_newer, {}),
    "a damaged log": ("database", _spoil_log, {}),
    "no file for a lock": ("server", _put_folder_for_lock, {}),
    "an unknown preset": ("folders", lambda _: None, {"IMGSVC_FOLDERS__0__PRESET": "standart"}),
}


@pytest.mark.parametrize("what", STOPPERS)
def test_doctor_says_what_stops_a_start_in_the_same_words(tmp_path: Path, what: str) -> None:
    subject, spoil, env = STOPPERS[what]
    data_dir = tmp_path / "data"
    ServerProcess(data_dir).stop()
    spoil(data_dir)
    env = {"IMGSVC_FOLDERS__0__PATH": str(tmp_path / "photos"), **env}
    before = {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}
    result = run("doctor", "--data", data_dir, "--json", **env)
    assert {path: path.read_bytes() for path in before} == before
    started = run("serve", "--data", data_dir, "--port", "0", **env)
    assert (result.exit_code, started.exit_code) == (1, 2)
    (finding,) = [f for f in json.loads(result.stdout) if f["verdict"] == "problem"]
    assert finding["subject"] == subject
    for words in (finding["fact"], *finding["advice"].split("; ")):
        assert words in started.stderr or words == "Until then no server starts."


def test_doctor_names_a_folder_of_results_which_no_server_watches(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / ".imgsvc").mkdir(parents=True)
    env = {"IMGSVC_FOLDERS__0__PATH": str(photos)}
    result = run("doctor", "--data", tmp_path / "data", "--json", **env)
    (finding,) = [f for f in json.loads(result.stdout) if f["verdict"] == "problem"]
    assert finding["subject"] == "folders"
    assert str(photos) in finding["fact"]


def test_doctor_says_that_another_program_has_the_database_locked(tmp_path: Path) -> None:
    ServerProcess(tmp_path / "data").stop()
    with closing(sqlite3.connect(tmp_path / "data" / "imgsvc.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = run("doctor", "--data", tmp_path / "data", "--json")
    (finding,) = [f for f in json.loads(result.stdout) if f["verdict"] == "problem"]
    assert finding["subject"] == "database"
    assert "is locked by" in finding["fact"]


def test_doctor_names_a_server_whose_lock_file_was_removed(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    try:
        (tmp_path / "data" / "lock").unlink()
        result = run("doctor", "--data", tmp_path / "data", "--json")
    finally:
        server.stop()
    (finding,) = [f for f in json.loads(result.stdout) if f["verdict"] == "problem"]
    assert finding["subject"] == "server"
    assert f"(pid {server.process.pid})" in finding["fact"]


def test_doctor_finds_own_presets_of_watched_folders(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    env = {"IMGSVC_FOLDERS__0__PATH": str(tmp_path), "IMGSVC_FOLDERS__0__PRESET": "mine"}
    try:
        with SyncClient(server.url) as client:
            client.save_preset("mine", {"variants": [{"name": "small", "width": 9}]})
        assert run("doctor", "--data", tmp_path / "data", **env).exit_code == 0
    finally:
        server.stop()
    assert run("doctor", "--data", tmp_path / "data", **env).exit_code == 0


@pytest.mark.parametrize(
    ("env", "subject"),
    [
        ({"IMGSVC_WORKERS__SIZE": "many"}, "settings"),
        ({"IMGSVC_STORAGE__RESERVE_BYTES": str(1 << 60)}, "disk"),
    ],
)
def test_doctor_names_what_is_wrong(tmp_path: Path, env: dict[str, str], subject: str) -> None:
    result = run("doctor", "--data", tmp_path / "data", **env)
    assert result.exit_code == 1
    assert verdicts(result)[subject] == "✗"


@pytest.mark.parametrize(("free", "missing"), [(0, "1.0 MB"), (1 << 19, "524.3 kB")])
def test_doctor_says_how_much_room_is_missing_even_where_no_reserve_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, missing: str
) -> None:
    class Facts:
        f_blocks, f_bavail, f_frsize, f_files = 9, free, 1, 0

    monkeypatch.setattr(os, "statvfs", lambda _path: Facts())
    env = {"IMGSVC_STORAGE__RESERVE_BYTES": "0"}
    result = run("doctor", "--data", tmp_path / "data", "--json", **env)
    (finding,) = [f for f in json.loads(result.stdout) if f["subject"] == "disk"]
    assert finding["verdict"] == "problem"
    assert finding["fact"].endswith(f", {missing} too little")


def test_doctor_disturbs_nothing(tmp_path: Path) -> None:
    run("doctor", "--data", tmp_path / "data")
    assert not (tmp_path / "data").exists()
    ServerProcess(tmp_path / "data").stop()
    run("doctor", "--data", tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / "imgsvc.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_folder_that_something_else_than_a_server_has_is_not_saved(tmp_path: Path) -> None:
    ServerProcess(tmp_path / "data").stop()
    lock = DataFolderLock(tmp_path / "data" / "lock")
    lock.acquire()
    try:
        result = run("backup", tmp_path / "a.zip", "--data", tmp_path / "data")
        assert (result.exit_code, (tmp_path / "a.zip").exists()) == (2, False)
        assert run("doctor", "--data", tmp_path / "data").exit_code == 0
    finally:
        lock.release()
