"""Starting: what stands in the way is said clearly."""

from __future__ import annotations

import asyncio
import json
import multiprocessing.spawn
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from multiprocessing import resource_tracker
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from imgsvc.domain.ids import new_id
from imgsvc.domain.job import Job
from imgsvc.errors import StartError
from imgsvc.runtime.offline import find_server, is_data_folder
from imgsvc.runtime.ports import find_listener, listen, page_url, url_of
from imgsvc.store.lock import DataFolderLock
from imgsvc.store.store import Store
from tests.rights import without_rights
from tests.server_process import NotListening, ServerProcess
from tests.servers import get_json, make_settings, running_server
from tests.store.builders import create


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def _serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imgsvc", "serve", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_taken_port_is_said_with_who_has_it(taken_port: int, tmp_path: Path) -> None:
    result = _serve("--port", str(taken_port), "--data", str(tmp_path))
    assert result.returncode == 2
    assert f"Port {taken_port}" in result.stderr
    assert f"pid {os.getpid()}" in result.stderr
    assert "--port" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_data_folder_in_use_is_said_with_who_has_it(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    try:
        result = _serve("--port", "0", "--data", str(tmp_path))
    finally:
        server.stop()
    assert result.returncode == 2
    assert server.url in result.stderr
    assert str(server.process.pid) in result.stderr
    assert "Traceback" not in result.stderr


def test_another_address_than_loopback_needs_leave(tmp_path: Path) -> None:
    result = _serve("--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path))  # noqa: S104
    assert result.returncode == 2
    assert "server.allow_anonymous" in result.stderr
    assert not (tmp_path / "imgsvc.db").exists()


def test_a_variable_that_lacks_an_underscore_is_said_and_stops_nothing(
    taken_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGSVC_SERVER", "http://127.0.0.1:9")
    monkeypatch.setenv("IMGSVC_SERVER_PORT", "tcp://10.0.0.1:80")
    result = _serve("--port", str(taken_port), "--data", str(tmp_path))
    assert f"Port {taken_port}" in result.stderr
    (line,) = [json.loads(line) for line in result.stderr.splitlines() if line.startswith("{")]
    assert line["event"] == "variable_not_read"
    assert (line["name"], line["setting"]) == ("IMGSVC_SERVER_PORT", "IMGSVC_SERVER__PORT")


def test_a_wrong_setting_stops_the_start_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[workers]\nsise = 3\n")
    result = _serve("--config", str(file), "--data", str(tmp_path))
    assert result.returncode == 2
    assert "workers.sise" in result.stderr
    assert "size" in result.stderr


def test_a_data_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = _serve("--port", "0", "--data", str(tmp_path / "file" / "data"))
    assert result.returncode == 2
    assert "data folder" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("look", [is_data_folder, find_server])
def test_a_data_folder_of_another_user_is_said(
    tmp_path: Path, look: Callable[[Path], object]
) -> None:
    (tmp_path / "lock").touch()
    tmp_path.chmod(0)
    try:
        with without_rights(), pytest.raises(StartError, match="Permission denied"):
            look(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_start_that_may_open_too_few_files_says_so_wherever_it_notices(tmp_path: Path) -> None:
    ServerProcess(tmp_path, workers=1).stop()
    (tmp_path / "jobs" / "lost-files").mkdir()
    refusals = []
    for most in count(18):
        try:
            server = ServerProcess(
                tmp_path, workers=1, within=("prlimit", f"--nofile={most}:{most}")
            )
        except NotListening as exc:
            refusals.append(exc)
        else:
            server.stop()
            break
    assert {refusal.returncode for refusal in refusals} == {2}
    said = "".join(map(str, refusals))
    assert "too many files open at the moment. Allow more" in said
    assert not re.search("Traceback|damaged|Free some", said)


def test_where_it_listens_and_keeps_its_data_is_said_at_start(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "imgsvc", "serve", "--port=0", f"--data={tmp_path}"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = next(line for line in process.stderr if "listening" in line)
    process.terminate()
    process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 0
    url = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert url
    assert re.search(rf"open_in_browser\W+{re.escape(url[0])}/", line)
    assert str(tmp_path) in line


@pytest.mark.parametrize(
    ("url", "base_url", "page"),
    [
        ("http://127.0.0.1:8080", None, "http://127.0.0.1:8080/"),
        ("http://0.0.0.0:9000", None, "http://127.0.0.1:9000/"),
        ("http://[::]:9000", None, "http://[::1]:9000/"),
        ("http://0.0.0.0:80", "https://images.example.org/", "https://images.example.org/"),
    ],
)
def test_the_page_is_where_a_browser_can_open_it(url: str, base_url: str | None, page: str) -> None:
    assert page_url(url, base_url) == page


@pytest.mark.parametrize("is_new", [True, False])
async def test_others_may_read_nothing_that_a_server_keeps(tmp_path: Path, is_new: bool) -> None:
    data = tmp_path / "data"
    if not is_new:
        data.mkdir(mode=0o755)

    def find_open() -> set[str]:
        return {path.name for path in (data, *data.iterdir()) if path.stat().st_mode & 0o007}

    async with running_server(make_settings(data)):
        found = await asyncio.to_thread(find_open)
    assert found - {"lock"} == (set() if is_new else {"data"})


async def test_the_lock_names_the_address_of_a_running_server(tmp_path: Path) -> None:
    async with running_server(make_settings(tmp_path / "data")) as server:
        holder = await asyncio.to_thread(DataFolderLock(tmp_path / "data" / "lock").holder)
        assert holder is not None
        assert (holder.pid, holder.url) == (os.getpid(), server.url)


def test_ipv6_loopback_can_be_listened_on() -> None:
    try:
        sock = listen("::1", 0)
    except StartError:
        pytest.skip("this machine has no IPv6")
    with sock:
        assert url_of(sock).startswith("http://[::1]:")


def test_nobody_listens_on_a_free_port(taken_port: int) -> None:
    assert find_listener(taken_port) is not None
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # so that nobody else does
        assert find_listener(sock.getsockname()[1]) is None


def test_the_parent_never_loads_libvips(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from tests.servers import *\n"
        "async def main():\n"
        f"    async with running_server(make_settings(Path({str(tmp_path)!r}))) as server:\n"
        "        assert (await submit(server, ('a', b'no')))['failed'] == 1\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
        "    assert 'pyvips' not in sys.modules\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    result = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=env, check=False
    )
    assert result.returncode == 0, result.stderr


async def test_a_start_removes_nothing_that_somebody_else_put_into_its_folders(
    tmp_path: Path,
) -> None:
    foreign = [
        "backup-of-monday/photo.jpg",
        "backup-2026/imgsvc.db",
        "jobs/deleted-scenes/photo.jpg",
        "jobs/2024/invoice.txt",
        "slots/mine/notes.txt",
        "slots/notes.txt",
        "watermarks/logo.png",
    ]
    own = [f"slots/{number}/report-1.json" for number in ("0", "7", "7.in")]
    own += [f"backup-{new_id()}/link", f"watermarks/{'0' * 64}.png"]
    async with running_server(make_settings(tmp_path)):
        pass
    for name in (*foreign, *own):
        path = tmp_path / name
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(path.write_bytes, b"x")
    async with running_server(make_settings(tmp_path)):
        pass

    assert [name for name in (*foreign, *own) if (tmp_path / name).exists()] == foreign


async def test_where_no_worker_can_be_started_it_is_said_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = str(tmp_path / "python")
    resource_tracker.ensure_running()  # it would not be found either
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", os.fsencode(gone))
    monkeypatch.setattr(sys, "executable", gone)
    with capture_logs() as logs:
        async with running_server(make_settings(tmp_path / "data")) as server:
            info = await get_json(server, "/api/v1/info", 503)
            await asyncio.wait([server.core.failure])
    assert info["code"] == "shutting_down"
    (died,) = [log for log in logs if log["event"] == "background_task_died"]
    assert f"{gone} is not there" in died["reason"]
    assert [log["event"] for log in logs if log.get("exc_info")] == []


async def test_that_files_are_lost_is_said_for_one_start(tmp_path: Path) -> None:
    """Else no later start would ask for a disk that is not mounted."""
    data_dir = tmp_path / "data"
    lost = data_dir / "jobs" / "lost-files"
    data_dir.mkdir()
    job = await _create_without_files(data_dir, 2)
    lost.mkdir(parents=True)
    with capture_logs() as logs:
        async with (
            running_server(make_settings(data_dir)) as server,
            server.http.ws_connect(f"/api/v1/jobs/{job.id}/events") as socket,
        ):
            assert [message async for message in socket]
            assert (await get_json(server, f"/api/v1/jobs/{job.id}"))["errors"] == {"internal": 2}
    await _create_without_files(data_dir, 3)
    with pytest.raises(StartError, match="3 images that are not finished"):
        async with running_server(make_settings(data_dir)):
            pass
    assert [log["images"] for log in logs if log["event"] == "files_given_up"] == [2]
    assert not lost.exists()


async def _create_without_files(data_dir: Path, images: int) -> Job:
    store = await Store.open(data_dir / "imgsvc.db")
    job = await create(store, images)
    await store.close()
    return job
