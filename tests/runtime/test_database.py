"""A database that is damaged, locked or gone: what a server, its users and its files see of it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from imgsvc.errors import DatabaseBroken, StartError
from imgsvc.store.store import Store
from tests.pictures import make_jpeg
from tests.rights import without_rights
from tests.runtime import faulty
from tests.server_process import ServerProcess
from tests.servers import Running, form_of, get_json, make_settings, running_server, submit
from tests.store.builders import create


def _serve(data_dir: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imgsvc", "serve", "--port=0", f"--data={data_dir}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """Of a server that was stopped, with one job."""
    async with running_server(make_settings(tmp_path / "data")) as server:
        await submit(server, ("a.jpg", make_jpeg(30, 20)))
    return tmp_path / "data"


def _tables(database: Path, *names: str) -> list[int]:
    with closing(sqlite3.connect(database)) as connection:
        return [
            root
            for name in names
            for (root,) in connection.execute(
                "SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)
            )
        ]


def _spoil(database: Path, *names: str) -> None:
    roots = _tables(database, *names)
    with database.open("r+b") as file:
        for root in roots:
            file.seek((root - 1) * 4096)
            file.write(b"\xff" * 4096)


def test_a_damaged_database_stops_the_start_with_what_to_do(data_dir: Path) -> None:
    _spoil(data_dir / "imgsvc.db", "images")
    files = sorted(path for path in (data_dir / "jobs").rglob("*"))
    result = _serve(data_dir)
    assert result.returncode == 2
    assert "imgsvc.db is damaged" in result.stderr
    assert f"unzip backup.zip -d {data_dir}" in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path for path in (data_dir / "jobs").rglob("*")) == files


@pytest.mark.parametrize("state", ["missing", "empty", "without tables"])
async def test_without_its_database_no_file_is_swept(data_dir: Path, state: str) -> None:
    """As orphans of nobody they would all go."""
    database = data_dir / "imgsvc.db"
    database.unlink()
    if state == "empty":
        database.touch()
    if state == "without tables":
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    files = sorted(path for path in (data_dir / "jobs").rglob("*"))
    with pytest.raises(StartError, match="jobs have files here: 1"):
        async with running_server(make_settings(data_dir)):
            pass
    assert sorted(path for path in (data_dir / "jobs").rglob("*")) == files
    data_dir.rename(data_dir.with_name("data.damaged"))
    async with running_server(make_settings(data_dir)) as server:
        assert (await get_json(server, "/api/v1/jobs"))["items"] == []


@pytest.mark.parametrize("state", ["missing", "empty"])
async def test_without_the_files_of_unfinished_images_none_of_them_fails(
    data_dir: Path, state: str
) -> None:
    """As where a disk is not mounted."""
    store = await Store.open(data_dir / "imgsvc.db")
    job = await create(store, 2)
    await store.close()
    away = (data_dir / "jobs").rename(data_dir / "away")
    if state == "empty":
        (data_dir / "jobs").mkdir()
    with pytest.raises(StartError, match="2 images that are not finished") as refused:
        async with running_server(make_settings(data_dir)):
            pass
    assert (data_dir / "jobs").exists() is (state == "empty")
    doctor = [sys.executable, "-m", "imgsvc", "doctor", f"--data={data_dir}"]
    said = await asyncio.to_thread(subprocess.run, doctor, capture_output=True, text=True)
    assert "2 images that are not finished" in " ".join(said.stdout.split())
    advice = refused.value.message.rpartition(": ")[2]
    await asyncio.to_thread(subprocess.run, shlex.split(advice), check=True)
    async with running_server(make_settings(data_dir)) as server:
        async with server.http.ws_connect(f"/api/v1/jobs/{job.id}/events") as socket:
            assert [message async for message in socket]
        assert (await get_json(server, f"/api/v1/jobs/{job.id}"))["errors"] == {"internal": 2}
    assert away.exists()


async def test_what_stands_in_the_place_of_their_folder_is_said_instead(data_dir: Path) -> None:
    store = await Store.open(data_dir / "imgsvc.db")
    await create(store, 2)
    await store.close()
    (data_dir / "jobs").rename(data_dir / "away")
    (data_dir / "jobs").symlink_to(data_dir / "not-mounted")
    with pytest.raises(StartError, match="not-mounted, which is not there"):
        async with running_server(make_settings(data_dir)):
            pass


async def test_a_submit_that_was_dropped_without_its_rows_needs_no_files(data_dir: Path) -> None:
    store = await Store.open(data_dir / "imgsvc.db")
    job = await create(store, 2, hidden=True)
    await store.close()
    (data_dir / "jobs").rename(data_dir / "away")
    async with (
        running_server(make_settings(data_dir)) as server,
        server.http.get(f"/api/v1/jobs/{job.id}") as answer,
    ):
        assert answer.status == 404


async def test_what_a_death_left_is_swept_although_a_start_in_between_failed(
    data_dir: Path,
) -> None:
    output = next((data_dir / "jobs").glob("*/out/*"))
    orphan = output.with_name(output.name.replace("-1-", "-7-"))
    orphan.write_bytes(b"published, and never committed")
    (data_dir / "lock").write_text('{"pid": 1, "url": null, "stopping": false}')
    database = data_dir / "imgsvc.db"
    database.rename(data_dir / "aside")
    with pytest.raises(StartError):
        async with running_server(make_settings(data_dir)):
            pass
    (data_dir / "aside").rename(database)
    async with running_server(make_settings(data_dir)):
        pass
    assert (output.exists(), orphan.exists()) == (True, False)


def _remove(log: Path) -> None:
    log.unlink()


def _empty(log: Path) -> None:
    os.truncate(log, 0)


def _cut_off(log: Path) -> None:
    os.truncate(log, log.stat().st_size // 2)


def _damage(log: Path) -> None:
    with log.open("r+b") as file:
        file.write(b"no log")


@pytest.mark.parametrize(
    ("deed", "fault"),
    [
        (_remove, "lacks its last commits"),
        (_empty, "lacks its last commits"),
        (_cut_off, "lacks its last commits"),
        (_damage, "is damaged"),
    ],
)
def test_whoever_does_what_the_start_says_of_a_log_that_is_lost_loses_no_input(
    data_dir: Path, deed: Callable[[Path], None], fault: str
) -> None:
    data_dir = data_dir.rename(data_dir.with_name("the data"))
    known = sorted(path.name for path in data_dir.glob("jobs/*/in/*"))
    server = ServerProcess(data_dir, workers=1)
    try:
        photo = base64.b64encode(make_jpeg(20, 20)).decode()
        server.post("/api/v1/jobs", {"images": [{"data": photo}]})
    finally:
        server.kill()
    accepted = sorted(path.name for path in data_dir.glob("jobs/*/in/*"))
    deed(data_dir / "imgsvc.db-wal")
    said = _serve(data_dir).stderr
    assert fault in said
    assert sorted(path.name for path in data_dir.glob("jobs/*/in/*")) == accepted
    commands = [line for line in said.splitlines() if line.startswith("  ")]
    subprocess.run(["sh", "-ec", "\n".join(commands)], check=True)
    ServerProcess(data_dir, workers=1).stop()
    assert sorted(path.name for path in data_dir.glob("jobs/*/in/*")) == known
    assert sorted(path.name for path in data_dir.glob("jobs.saved/*/in/*")) == accepted
    assert len(accepted) > len(known)


def test_a_newer_schema_stops_the_start_with_both_versions(data_dir: Path) -> None:
    with closing(sqlite3.connect(data_dir / "imgsvc.db")) as connection:
        (known,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("PRAGMA user_version = 9999")
    result = _serve(data_dir)
    assert result.returncode == 2
    assert "newer imgsvc" in result.stderr
    assert "9999" in result.stderr
    assert str(known) in result.stderr


def test_a_locked_database_is_said_with_who_has_it(data_dir: Path) -> None:
    code = (
        "import sqlite3, sys\n"
        f"c = sqlite3.connect({str(data_dir / 'imgsvc.db')!r}, isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        result = _serve(data_dir)
        assert other.stdin is not None
        other.stdin.close()
    assert result.returncode == 2
    assert "is locked by" in result.stderr
    assert f"(pid {other.pid})" in result.stderr


@pytest.mark.parametrize("what", ["imgsvc.db", ""])
async def test_a_database_that_cannot_be_written_is_said(
    data_dir: Path, tmp_path: Path, what: str
) -> None:
    for path in (tmp_path, *tmp_path.parents):
        if path.owner() != "root" or path == Path("/tmp"):  # noqa: S108
            break
        path.chmod(0o755)
    for path in (data_dir, *data_dir.rglob("*")):
        path.chmod(0o777)
    (data_dir / what).chmod(0o555 if (data_dir / what).is_dir() else 0o444)
    try:
        with without_rights(), pytest.raises(StartError, match="cannot be"):
            async with running_server(make_settings(data_dir)):
                pass
    finally:
        (data_dir / what).chmod(0o777)


async def test_damage_that_is_noticed_while_serving_stops_the_server(data_dir: Path) -> None:
    server: Running
    async with running_server(make_settings(data_dir)) as server:
        job = (await get_json(server, "/api/v1/jobs"))["items"][0]
        store = server.core.store
        await store.shrink_wal()
        await asyncio.to_thread(_spoil, data_dir / "imgsvc.db", "images")
        for connection in (store._connection, *store._readers._connections):
            await connection.execute_fetchall("PRAGMA shrink_memory")
        problem = await get_json(server, job["links"]["images"], 503)
        assert problem["code"] == "shutting_down"
        ready = await get_json(server, "/readyz", 503)
        assert "database_not_writable" in ready["problems"]
        form = form_of(("b.jpg", make_jpeg(20, 20)))
        async with server.http.post("/api/v1/jobs", data=form) as answer:
            assert answer.status == 503
        await asyncio.wait({server.core.failure}, timeout=30)
        assert isinstance(server.core.failure.exception(), DatabaseBroken)


async def test_a_task_that_is_refused_first_does_not_hide_why_the_server_ends(
    tmp_path: Path,
) -> None:
    async with running_server(make_settings(tmp_path / "data")) as server:
        core = server.core
        with capture_logs() as logs:
            core.store._breakdown.note("spoiled")
            core.keep("refused at once", _refused(core.store))
            await asyncio.wait({core.failure}, timeout=30)
        assert isinstance(core.failure.exception(), DatabaseBroken)
        assert "background_task_died" not in {line["event"] for line in logs}


async def _refused(store: Store) -> None:
    store._breakdown.check()


def test_a_server_whose_database_breaks_ends_by_itself_and_is_not_started_again(
    data_dir: Path,
) -> None:
    server = ServerProcess(data_dir, workers=1)
    try:
        _spoil(data_dir / "imgsvc.db", "jobs", "images", "sqlite_autoindex_jobs_1")
        while server.process.poll() is None:  # what it has in memory may answer the first
            with suppress(OSError):
                urllib.request.urlopen(f"{server.url}/api/v1/images", timeout=20).close()  # noqa: S310
        assert server.process.wait(timeout=30) == 1
    finally:
        server.kill()
    result = _serve(data_dir)
    assert result.returncode == 2
    assert "is damaged" in result.stderr


@pytest.mark.parametrize("size_bytes", [0, 60_000])
def test_a_server_whose_log_is_emptied_or_overwritten_ends_by_itself(
    data_dir: Path, size_bytes: int
) -> None:
    server = ServerProcess(data_dir, workers=1)
    try:
        server.post("/api/v1/jobs", {"open": True})
        with (data_dir / "imgsvc.db-wal").open("r+b") as log:
            log.write(b"\xff" * size_bytes)
            if not size_bytes:
                log.truncate()
        while server.process.poll() is None:
            with suppress(OSError):
                server.post("/api/v1/jobs", {"open": True})
        assert server.process.wait(timeout=30) == 1
    finally:
        server.kill()


async def test_files_that_somebody_has_removed_are_404_and_never_500(data_dir: Path) -> None:
    shutil.rmtree(next((data_dir / "jobs").iterdir()) / "out")
    async with running_server(make_settings(data_dir)) as server:
        job = (await get_json(server, "/api/v1/jobs"))["items"][0]
        image = await get_json(server, f"{job['links']['images']}/0")
        problem = await get_json(server, image["outputs"][0]["url"], 404)
        assert (problem["code"], problem["detail"]) == (
            "not_found", "The file is not there any more.",
        )  # fmt: skip
        problem = await get_json(server, job["links"]["archive"], 404)
        assert "not there any more" in problem["detail"]
        await get_json(server, f"/image/{image['id']}.standard", 404)
        made = await submit(server, ("a.jpg", make_jpeg(30, 20)))
        assert made["status"] == "completed"  # anew, as there is nothing to link
        assert not server.core.failure.done()


async def test_without_the_folder_of_all_jobs_the_server_says_so_and_takes_new_ones(
    data_dir: Path,
) -> None:
    async with running_server(make_settings(data_dir)) as server:
        job = (await get_json(server, "/api/v1/jobs"))["items"][0]
        image = await get_json(server, f"{job['links']['images']}/0")
        shutil.rmtree(data_dir / "jobs")
        with capture_logs() as logs:
            await get_json(server, image["outputs"][0]["url"], 404)
            assert (await submit(server, ("b.jpg", make_jpeg(20, 20))))["status"] == "completed"
            async with server.http.delete(job["links"]["self"]) as answer:
                assert answer.status == 204
        events = [log["event"] for log in logs]
        assert events.count("folder_of_jobs_was_removed") == 1
        assert events.count("file_missing") == 1


async def test_an_image_whose_input_somebody_has_removed_fails_and_says_so(
    data_dir: Path,
) -> None:
    async with running_server(make_settings(data_dir)) as server:
        job = await submit(server, ("b.jpg", b"no image"))
        shutil.rmtree(data_dir / "jobs" / job["id"])
        async with server.http.post(f"{job['links']['self']}/retry") as answer:
            assert answer.status == 200
        async with server.http.ws_connect(job["links"]["events"]) as socket:
            messages = [json.loads(message.data) async for message in socket]
        assert messages[-1]["job"]["status"] == "failed"
        image = await get_json(server, f"{job['links']['images']}/0")
        assert "input file is not there" in image["error"]["message"]


async def test_an_image_whose_job_somebody_removes_while_it_is_made_fails_and_says_so(
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    async with running_server(make_settings(tmp_path / "data"), faulty.render) as server:
        form = form_of(("a.jpg", faulty.fault("gate", gate)), preset="thumbnail")
        async with server.http.post("/api/v1/jobs", data=form) as answer:
            job = await answer.json()
        with await asyncio.to_thread(gate.open, "w"):  # the worker is at its end of the gate
            shutil.rmtree(tmp_path / "data" / "jobs" / job["id"])
        async with server.http.ws_connect(job["links"]["events"]) as socket:
            messages = [json.loads(message.data) async for message in socket]
        assert messages[-1]["job"]["status"] == "failed"
        image = await get_json(server, f"{job['links']['images']}/0")
        assert image["error"]["message"] == "The finished file could not be kept."


def test_the_signal_to_stop_is_heard_while_the_database_is_locked(data_dir: Path) -> None:
    server = ServerProcess(data_dir, workers=1)
    try:
        with closing(sqlite3.connect(data_dir / "imgsvc.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"{server.url}/readyz", timeout=15)  # noqa: S310
            assert caught.value.code == 503
            caught.value.close()
            server.stop(signal.SIGTERM)
    finally:
        server.kill()
    assert server.process.returncode == 0


async def test_a_folder_that_takes_no_file_costs_its_own_images_and_not_the_server(
    tmp_path: Path,
) -> None:
    async with running_server(make_settings(tmp_path / "data")) as server:
        form = form_of(spec=json.dumps({"open": True}))
        async with server.http.post("/api/v1/jobs", data=form) as answer:
            job = await answer.json()
        outputs = tmp_path / "data" / "jobs" / job["id"] / "out"
        outputs.rmdir()
        outputs.touch()
        form = form_of(("a.jpg", make_jpeg(30, 20)))
        async with server.http.post(job["links"]["images"], data=form) as answer:
            assert answer.status == 202
        async with server.http.post(f"{job['links']['self']}/close"):
            pass
        with capture_logs() as logs:
            good = await submit(server, ("b.jpg", make_jpeg(31, 20)))
        assert good["status"] == "completed"
        (image,) = (await get_json(server, job["links"]["images"]))["items"]
        assert (image["status"], image["error"]["code"]) == ("failed", "internal")
        assert not server.core.failure.done()
        assert "file_unusable" in {line["event"] for line in logs}
