"""`backup` and `doctor`."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imgsvc.cli.main import cli
from imgsvc.client import BytesUpload, SyncClient
from imgsvc.domain.ids import new_id
from imgsvc.imaging.formats import list_formats
from imgsvc.store.lock import DataFolderLock
from imgsvc.workers.landlock import get_version
from imgsvc.workers.sandbox import find_gaps
from tests.pictures import make_jpeg
from tests.server_process import ServerProcess

TIMEOUT_S = 40


def run(*arguments: object, **env: str) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], env=env, prog_name="imgsvc")


class LoginPage(BaseHTTPRequestHandler):
    """What a proxy says to everybody whom it does not know."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def portal_url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), LoginPage) as portal:
        thread = threading.Thread(target=portal.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{portal.server_port}"
        portal.shutdown()
        thread.join()


def test_backup_goes_through_the_server_that_has_the_folder(
    server: ServerProcess, tmp_path: Path
) -> None:
    result = run("backup", tmp_path / "all.zip", "--data", server.data_dir)
    assert result.exit_code == 0, result.output
    assert "all.zip" in result.stderr
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert "imgsvc.db" in archive.namelist()


def test_backup_of_a_server_elsewhere_goes_by_its_url(
    server: ServerProcess, tmp_path: Path
) -> None:
    result = run("backup", tmp_path / "all.zip", "--json", IMGSVC_SERVER=server.url)
    assert result.exit_code == 0, result.output
    assert zipfile.is_zipfile(tmp_path / "all.zip")


def test_backup_of_a_folder_without_a_server_reads_it(tmp_path: Path) -> None:
    ServerProcess(tmp_path / "data").stop()
    result = run("backup", tmp_path / "all.zip", "--data", tmp_path / "data")
    assert result.exit_code == 0, result.output
    assert zipfile.is_zipfile(tmp_path / "all.zip")


@pytest.mark.parametrize("is_running", [True, False])
def test_a_backup_is_private_and_replaces_a_file_only_by_force(
    server: ServerProcess, tmp_path: Path, is_running: bool
) -> None:
    data_dir = server.data_dir if is_running else tmp_path / "data"
    if not is_running:
        ServerProcess(data_dir).stop()
    file = tmp_path / "all.zip"
    file.write_text("a photo")
    refused = run("backup", file, "--data", data_dir)
    assert (refused.exit_code, file.read_text()) == (2, "a photo")
    assert "is there already" in refused.stderr
    assert "--force" in refused.stderr
    assert run("backup", file, "--data", data_dir, "--force").exit_code == 0
    assert zipfile.is_zipfile(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize(("keeps", "missing"), [("true", 3), ("false", 2)])
def test_a_backup_says_how_many_files_were_not_there_to_be_saved(
    tmp_path: Path, is_running: bool, keeps: str, missing: int
) -> None:
    """A result, an input of an image that failed, and one of an image that is completed."""
    env = {"IMGSVC_STORAGE__KEEP_INPUTS": keeps}
    data_dir = tmp_path / "data"
    server = ServerProcess(data_dir, settings=env)
    try:
        with SyncClient(server.url) as client:
            images = [BytesUpload(make_jpeg(20, 20), "a.jpg"), BytesUpload(b"no image", "b.jpg")]
            client.wait(client.submit(images)["id"])
        next(data_dir.glob("jobs/*/out/*")).unlink()
        # What it need not keep, the server may be deleting itself just now.
        shutil.rmtree(next(data_dir.glob("jobs/*/in")), ignore_errors=True)
        assert list(data_dir.glob("jobs/*/in")) == []
        if not is_running:
            server.stop()
        result = run("backup", tmp_path / "all.zip", "--data", data_dir, **env)
    finally:
        server.stop()
    assert result.exit_code == 1
    assert f"{missing} files" in result.stderr
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None


def test_backup_prints_nothing_but_its_document(tmp_path: Path) -> None:
    ServerProcess(tmp_path / "data").stop()
    result = run("backup", tmp_path / "all.zip", "--data", tmp_path / "data", "--json")
    assert json.loads(result.stdout)["path"] == str(tmp_path / "all.zip")


def test_a_backup_that_is_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, "-m", "imgsvc", "backup", f"{tmp_path}/all.zip"]
        process = subprocess.Popen([*command, "--server", url], stderr=subprocess.DEVNULL)
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            head = "Content-Type: application/zip\r\nContent-Length: 99999999999"
            connection.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
            connection.sendall(bytes(32 << 20))  # most of it is in the file then
            process.terminate()
            assert process.wait(TIMEOUT_S) == 130
    assert list(tmp_path.iterdir()) == []


def test_backup_of_nothing_is_an_error(tmp_path: Path, unused_tcp_port: int) -> None:
    result = run("backup", tmp_path / "all.zip", "--data", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "no data folder" in result.stderr
    url = f"http://127.0.0.1:{unused_tcp_port}"
    assert run("backup", tmp_path / "all.zip", "--server", url).exit_code == 3
    assert not (tmp_path / "all.zip").exists()


def test_the_page_of_another_program_is_no_backup(portal_url: str, tmp_path: Path) -> None:
    file = tmp_path / "all.zip"
    file.write_bytes(b"a backup of before")
    result = run("backup", file, "--force", "--server", portal_url)
    assert result.exit_code == 3
    assert "no imgsvc" in result.stderr
    assert file.read_bytes() == b"a backup of before"


def test_a_backup_says_whose_it_is(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """A server of the environment goes before the one that has ./data, as --server does, and what
    the command names goes before both.
    """
    nobody = {"IMGSVC_SERVER": f"http://127.0.0.1:{unused_tcp_port}"}
    monkeypatch.chdir(tmp_path)
    ServerProcess(tmp_path / "data").stop()
    (tmp_path / "served").symlink_to(server.data_dir)
    Path("imgsvc.toml").write_text('[storage]\ndata_dir = "served"\n')
    url = server.url.replace("://", "://anna:secret@")
    for number, (arguments, env, whose) in enumerate(
        [
            ([], {}, f"{tmp_path}/data, whose server is not running."),
            ([], {"IMGSVC_SERVER": url}, f"{server.url.replace('://', '://***@')}."),
            (["--server", server.url], {}, f"{server.url}."),
            (["--data", "served"], {}, f"the server of {tmp_path}/served."),
            (["--config", "imgsvc.toml"], {}, f"the server of {tmp_path}/served."),
            (["--config", "imgsvc.toml"], nobody, f"the server of {tmp_path}/served."),
            (["--config", "imgsvc.toml", "--server", server.url], nobody, f"{server.url}."),
        ]
    ):
        result = run("backup", f"{number}.zip", *arguments, **env)
        assert result.exit_code == 0, result.output
        assert result.stderr.splitlines()[-1].endswith(f", the backup of {whose}")


def test_a_backup_into_no_folder_is_an_error(tmp_path: Path) -> None:
    result = run("backup", tmp_path / "gone" / "all.zip", "--data", tmp_path / "data")
    assert result.exit_code == 2
    assert f"There is no folder {tmp_path / 'gone'}" in result.stderr.replace("\n", "")
    assert not (tmp_path / "gone").exists()


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


def test_a_folder_that_is_named_goes_before_a_server_of_the_environment(
    server: ServerProcess, tmp_path: Path, unused_tcp_port: int
) -> None:
    nobody = f"http://127.0.0.1:{unused_tcp_port}"
    result = run("backup", tmp_path / "a.zip", "--data", server.data_dir, IMGSVC_SERVER=nobody)
    assert result.exit_code == 0, result.output
    both = run("backup", tmp_path / "a.zip", "--data", server.data_dir, "--server", nobody)
    assert both.exit_code == 2


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
