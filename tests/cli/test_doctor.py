"""What `doctor` says of a data folder that something is wrong with is what a start says, too."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from imgsvc.cli.doctor import Finding
from imgsvc.config import Settings, load_settings
from imgsvc.errors import StartError
from imgsvc.runtime.server import serve
from tests.cli.commands import run
from tests.pictures import make_jpeg
from tests.rights import let_others_in, without_rights
from tests.server_process import ServerProcess


def _settings(data_dir: Path) -> Settings:
    return load_settings(flags={"storage": {"data_dir": data_dir}, "server": {"port": 0}})


def _find_problem(data_dir: Path, subject: str) -> str:
    """What doctor says of it, which is what a start ends with."""
    examined = run("doctor", "--data", data_dir, "--json", IMGSVC_WORKERS__SANDBOX="off")
    assert examined.exit_code == 1, examined.output
    (finding,) = [f for f in json.loads(examined.stdout) if f["verdict"] == "problem"]
    assert finding["subject"] == subject
    with pytest.raises(StartError) as caught:
        serve(_settings(data_dir))
    for words in (finding["fact"], *finding["advice"].split("; ")):
        assert words in caught.value.message or words == "Until then no server starts."
    return str(finding["fact"])


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A data folder whose server was killed, with a job in the log of its database."""
    ServerProcess(tmp_path / "data", workers=1).stop()
    server = ServerProcess(tmp_path / "data", workers=1)
    try:
        photo = base64.b64encode(make_jpeg(20, 20)).decode()
        server.post("/api/v1/jobs", {"images": [{"data": photo}]})
    finally:
        server.kill()
    assert (tmp_path / "data" / "imgsvc.db-wal").stat().st_size
    return tmp_path / "data"


@pytest.fixture
def of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder in which others may do everything."""
    # Python itself may be out of the reach of others.
    monkeypatch.setattr("imgsvc.cli.doctor._formats", lambda: Finding("formats", "ok", "all"))
    ServerProcess(tmp_path / "data", workers=1).stop()
    let_others_in(tmp_path)
    for path in (tmp_path / "data", *(tmp_path / "data").rglob("*")):
        path.chmod(0o777)
    yield tmp_path / "data"
    for path in (tmp_path / "data").rglob("*"):
        path.chmod(0o777)


def _read_all(folder: Path) -> dict[Path, bytes]:
    """Without the index of the log, which SQLite makes anew for whoever reads it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if not path.name.endswith("-shm")}


def test_doctor_leaves_the_log_of_a_server_that_was_killed(killed: Path, tmp_path: Path) -> None:
    env = {"IMGSVC_FOLDERS__0__PATH": str(tmp_path), "IMGSVC_FOLDERS__0__PRESET": "standard"}
    before = _read_all(killed)
    assert run("doctor", "--data", killed, "--files", **env).exit_code == 0
    assert _read_all(killed) == before


def test_neither_doctor_nor_a_start_that_is_refused_makes_a_log(killed: Path) -> None:
    for end in ("-wal", "-shm"):
        killed.joinpath(f"imgsvc.db{end}").unlink()
    before = {path: path.read_bytes() for path in killed.rglob("imgsvc*")}
    assert "lacks its last commits" in _find_problem(killed, "database")
    assert {path: path.read_bytes() for path in killed.rglob("imgsvc*")} == before


def test_doctor_makes_no_log_for_a_server_that_was_stopped(tmp_path: Path) -> None:
    ServerProcess(tmp_path / "data", workers=1).stop()
    env = {"IMGSVC_FOLDERS__0__PATH": str(tmp_path), "IMGSVC_FOLDERS__0__PRESET": "standard"}
    before = sorted((tmp_path / "data").rglob("*"))
    assert run("doctor", "--data", tmp_path / "data", "--files", **env).exit_code == 0
    assert sorted((tmp_path / "data").rglob("*")) == before


def test_doctor_names_variables_that_lack_an_underscore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGSVC_LOG_LEVEL", "debug")
    examined = run("doctor", "--data", tmp_path / "data", "--json")
    assert examined.exit_code == 0, examined.output
    (finding,) = [f for f in json.loads(examined.stdout) if f["subject"] == "settings"]
    assert finding["verdict"] == "warning"
    assert "IMGSVC_LOG_LEVEL" in finding["fact"]
    assert "IMGSVC_LOG__LEVEL" in finding["advice"]


def test_doctor_waits_for_no_server_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgsvc.cli.doctor.ANSWER_S", 0.5)
    server = ServerProcess(tmp_path / "data", workers=1)
    try:
        server.process.send_signal(signal.SIGSTOP)
        examined = run("doctor", "--data", tmp_path / "data", "--json")
    finally:
        server.process.send_signal(signal.SIGCONT)
        server.kill()
    assert examined.exit_code == 1, examined.output
    (finding,) = [f for f in json.loads(examined.stdout) if f["verdict"] == "problem"]
    assert finding["subject"] == "server"
    assert f"{server.url} has not answered" in finding["fact"]
    assert "start it again" in finding["advice"]


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("imgsvc.db", 0, "cannot be read: Permission denied"),
        ("imgsvc.db", 0o444, "cannot be written (attempt to write a readonly database)"),
        ("imgsvc.db-wal", 0, "cannot be read: Permission denied"),
        ("imgsvc.db-wal", 0o444, "cannot be written (attempt to write a readonly database)"),
        ("imgsvc.db-shm", 0, "cannot be written"),
    ],
)
def test_doctor_says_which_part_of_a_database_is_anothers(
    of_others: Path, name: str, mode: int, said: str
) -> None:
    for end in ("-wal", "-shm"):
        (of_others / f"imgsvc.db{end}").touch()
        (of_others / f"imgsvc.db{end}").chmod(0o777)
    (of_others / name).chmod(mode)
    with without_rights():
        fact = _find_problem(of_others, "database")
    assert said in fact


def _put_file(path: Path) -> None:
    path.rmdir()
    path.touch()


def _put_dangling_link(path: Path) -> None:
    path.rmdir()
    path.symlink_to(path.with_name("not-mounted"))


@pytest.mark.parametrize("name", ["jobs", "watermarks", "slots"])
@pytest.mark.parametrize(
    ("spoil", "said"), [(_put_file, "is a file"), (_put_dangling_link, "is a link")]
)
def test_doctor_says_that_no_folder_stands_where_one_belongs(
    tmp_path: Path, spoil: Callable[[Path], None], said: str, name: str
) -> None:
    ServerProcess(tmp_path / "data", workers=1).stop()
    rmtree(tmp_path / "data" / "slots")
    (tmp_path / "data" / "slots").mkdir()
    spoil(tmp_path / "data" / name)
    assert f"{name} {said}" in _find_problem(tmp_path / "data", "disk")


@pytest.mark.parametrize("name", ["jobs", "watermarks", "slots", "slots/0"])
def test_doctor_says_which_folder_is_anothers(of_others: Path, name: str) -> None:
    (of_others / name).mkdir(exist_ok=True)
    (of_others / name).chmod(0o555)
    with without_rights():
        fact = _find_problem(of_others, "disk")
    assert f"The folder {of_others / name} is closed to this user" in fact


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can put others' files there")
def test_a_start_names_what_it_may_not_remove(of_others: Path) -> None:
    """A folder that others may write, and whose files only their owners may remove."""
    (of_others / "slots" / "0").mkdir(exist_ok=True)
    (of_others / "slots" / "0" / "output").touch()
    for folder in ("slots", "slots/0"):
        (of_others / folder).chmod(0o1777)
    with without_rights(), pytest.raises(StartError) as caught:
        serve(_settings(of_others))
    file = of_others / "slots" / "0" / "output"
    assert f"{file} cannot be used: Operation not permitted" in caught.value.message
