"""`backup`: of a server, or of a folder that none has."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from imgsvc.client import BytesUpload, SyncClient
from tests.cli.commands import run
from tests.pictures import make_jpeg
from tests.server_process import ServerProcess

TIMEOUT_S = 40


class LoginPage(BaseHTTPRequestHandler):
    """What a proxy says to everybody whom it does not know."""

    kind = "text/html"
    content = b"<html>"

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

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
            connection.sendall(b"PK" + bytes(32 << 20))  # most of it is in the file then
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


@pytest.mark.parametrize(
    ("kind", "content"), [("text/html", b"<html>"), ("application/zip", b"<html>"), ("x/y", b"P")]
)
def test_the_page_of_another_program_is_no_backup(
    portal_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, content: bytes
) -> None:
    monkeypatch.setattr(LoginPage, "kind", kind)
    monkeypatch.setattr(LoginPage, "content", content)
    file = tmp_path / "all.zip"
    file.write_bytes(b"a backup of before")
    result = run("backup", file, "--force", "--server", portal_url)
    assert result.exit_code == 3
    assert "no imgsvc" in result.stderr
    assert file.read_bytes() == b"a backup of before"


def test_a_backup_is_one_whatever_a_proxy_calls_it(
    portal_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoginPage, "kind", "application/octet-stream")
    monkeypatch.setattr(LoginPage, "content", b"PK\x03\x04 and more")
    assert run("backup", tmp_path / "all.zip", "--server", portal_url).exit_code == 0
    assert (tmp_path / "all.zip").read_bytes() == LoginPage.content


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


def test_a_folder_that_is_named_goes_before_a_server_of_the_environment(
    server: ServerProcess, tmp_path: Path, unused_tcp_port: int
) -> None:
    nobody = f"http://127.0.0.1:{unused_tcp_port}"
    result = run("backup", tmp_path / "a.zip", "--data", server.data_dir, IMGSVC_SERVER=nobody)
    assert result.exit_code == 0, result.output
    both = run("backup", tmp_path / "a.zip", "--data", server.data_dir, "--server", nobody)
    assert both.exit_code == 2
