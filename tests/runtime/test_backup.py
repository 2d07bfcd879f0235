"""A backup is a data folder: whatever went on while it was made, a server can go on from it."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import sqlite3
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from imgsvc.client import BytesUpload, Client
from imgsvc.domain.ids import new_id
from imgsvc.domain.times import now_ms
from imgsvc.errors import StorageFull
from imgsvc.files.zip_archive import ZipArchive
from imgsvc.runtime.file_check import check_files
from imgsvc.runtime.offline import back_up, find_server
from imgsvc.service.backup import open_backup
from imgsvc.store.copies import read_image_files
from imgsvc.store.examination import examine
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, get_json, make_settings, running_server, submit

DAY_MS = 86_400_000


async def describe(server: Running) -> dict[str, Any]:
    """Every job with its images, and what its outputs are."""
    found = {}
    for job in (await get_json(server, "/api/v1/jobs"))["items"]:
        images = (await get_json(server, job["links"]["images"]))["items"]
        for image in images:
            for output in image["outputs"]:
                async with server.http.get(output["url"]) as answer:
                    content = await answer.read()
                assert hashlib.sha256(content).hexdigest() == output["sha256"]
        known = {**job, "expires_at": None}  # begins anew where it is restored
        found[job["id"]] = {"job": known, "images": images}
    return found


def unpack(file: Path, folder: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)


async def test_jobs_of_an_old_backup_begin_their_time_anew_at_the_first_start(
    tmp_path: Path,
) -> None:
    async with running_server(make_settings(tmp_path / "data")) as server:
        job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
        async with server.http.post("/api/v1/jobs", data=form_of(spec='{"open": true}')) as answer:
            open_job = await answer.json()
    with closing(sqlite3.connect(tmp_path / "data" / "imgsvc.db")) as database, database:
        database.execute("UPDATE jobs SET expires_at = 1000 WHERE expires_at IS NOT NULL")
        database.execute("UPDATE jobs SET appended_at = 1000")
    await back_up(tmp_path / "data", tmp_path / "all.zip")
    folder = tmp_path / "restored"
    unpack(tmp_path / "all.zip", folder)
    await back_up(folder, tmp_path / "again.zip")  # whoever else comes first changes nothing
    began = now_ms()
    async with running_server(make_settings(folder)) as server:
        restored = await get_json(server, job["links"]["self"])
        store = server.core.store
        assert await store.expired_jobs(began + DAY_MS - 1, 10) == []
        assert await store.expired_jobs(now_ms() + DAY_MS, 10) == [job["id"]]
        assert await store.idle_open_jobs(began - 1, 10) == []
        assert await store.idle_open_jobs(now_ms(), 10) == [open_job["id"]]
    async with running_server(make_settings(folder)) as server:
        assert (await get_json(server, job["links"]["self"])) == restored


async def test_a_backup_that_is_cancelled_ends_at_once_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(make_settings(tmp_path / "data")):
        pass
    loop = asyncio.get_running_loop()

    def read_for_ever(_: ZipArchive) -> Iterator[bytes]:
        loop.call_soon_threadsafe(backup.cancel)
        while True:
            yield b"z"

    monkeypatch.setattr(ZipArchive, "__iter__", read_for_ever)
    backup = asyncio.create_task(back_up(tmp_path / "data", tmp_path / "all.zip"))
    with pytest.raises(asyncio.CancelledError):
        await backup
    await loop.shutdown_default_executor()  # as at the end of a command
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


async def test_a_backup_of_a_running_server_can_be_gone_on_from(tmp_path: Path) -> None:
    async with running_server(make_settings(tmp_path / "data")) as server:
        await submit(server, ("a.jpg", make_jpeg(20, 20)), ("b.jpg", b"no image"))
        await submit(server, ("again.jpg", make_jpeg(20, 20)))
        form = form_of(("c.jpg", make_jpeg(30, 20)), spec=json.dumps({"open": True}))
        async with server.http.post("/api/v1/jobs", data=form) as answer:
            open_job = await answer.json()
        async with server.http.ws_connect(open_job["links"]["events"]) as socket:
            while (await socket.receive_json())["job"]["completed"] < 1:
                pass
        before = await describe(server)
        async with Client(server.url) as client:
            saved = await client.backup(tmp_path / "all.zip")
        assert saved == ((tmp_path / "all.zip").stat().st_size, 0)
    assert list((tmp_path / "data").glob("backup-*")) == []
    unpack(tmp_path / "all.zip", tmp_path / "restored")
    async with running_server(make_settings(tmp_path / "restored")) as server:
        assert await describe(server) == before
        form = form_of(("d.jpg", make_jpeg(40, 20)))
        async with server.http.post(open_job["links"]["images"], data=form) as answer:
            assert answer.status == 202
        async with server.http.post(f"{open_job['links']['self']}/close") as answer:
            assert answer.status == 200
        async with Client(server.url) as client:
            assert (await client.wait(open_job["id"]))["completed"] == 2


async def test_what_waited_at_the_moment_of_the_backup_is_done_after_it(tmp_path: Path) -> None:
    async with (
        running_server(make_settings(tmp_path / "data")) as server,
        Client(server.url) as client,
    ):
        images = [BytesUpload(make_jpeg(200 + n, 150), f"{n}.jpg") for n in range(40)]
        job = await client.submit(images)
        await client.backup(tmp_path / "all.zip")
        await client.wait(job["id"])
    unpack(tmp_path / "all.zip", tmp_path / "restored")
    async with running_server(make_settings(tmp_path / "restored")) as server:
        async with Client(server.url) as client:
            assert (await client.wait(job["id"]))["completed"] == 40
        await describe(server)


async def test_nothing_is_removed_at_the_moment_of_a_backup(tmp_path: Path) -> None:
    async with running_server(make_settings(tmp_path / "data")) as server:
        job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
        blobs = server.core.blobs
        async with blobs.removing_nothing():
            deleting = asyncio.create_task(server.core.deleter.delete(job["id"]))
            while await server.core.store.job_ids([job["id"]]):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0)
            assert await blobs.job_folders() == [job["id"]]
        await deleting
        assert await blobs.job_folders() == []


async def test_links_left_by_a_crash_are_removed_at_start(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    async with running_server(settings) as server:
        folder = await server.core.blobs.make_backup_folder()
    async with running_server(settings):
        assert not folder.exists()


async def test_a_folder_that_no_server_has_is_read_itself(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with running_server(make_settings(data_dir)) as server:
        await submit(server, ("a.jpg", make_jpeg(20, 20)))
        before = await describe(server)
        assert await asyncio.to_thread(find_server, data_dir) is not None
        with pytest.raises(Exception, match="in use"):
            await back_up(data_dir, tmp_path / "all.zip")
    assert await asyncio.to_thread(find_server, data_dir) is None
    saved = await back_up(data_dir, tmp_path / "all.zip")
    assert saved == ((tmp_path / "all.zip").stat().st_size, 0)
    unpack(tmp_path / "all.zip", tmp_path / "restored")
    async with running_server(make_settings(tmp_path / "restored")) as server:
        assert await describe(server) == before


async def test_what_is_unpacked_is_closed_to_others(tmp_path: Path) -> None:
    """As far as the unpacking program keeps modes, as unzip does."""
    async with (
        running_server(make_settings(tmp_path / "data")) as server,
        Client(server.url) as client,
    ):
        await submit(server, ("a.jpg", make_jpeg(20, 20)))
        await client.save_watermark("logo", make_jpeg(8, 8))
        await client.backup(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    top = {name for name in modes if name.rstrip("/").count("/") == 0}
    assert top == {"imgsvc.db", "jobs/", "watermarks/"}
    assert [name for name in top if modes[name] & 0o007] == []


async def test_a_backup_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async with running_server(make_settings(tmp_path / "data")) as server:
        with pytest.raises(ZeroDivisionError):
            async with open_backup(server.core.store, server.core.blobs, keep_inputs=True):
                raise ZeroDivisionError
        assert list((tmp_path / "data").glob("backup-*")) == []


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EROFS, "read-only"), (errno.EMFILE, "too many files open")]
)
async def test_a_backup_that_cannot_begin_says_why_and_on_which_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(*_path: Any, **_options: Any) -> None:
        raise OSError(number, os.strerror(number))

    async with running_server(make_settings(tmp_path / "data")) as server:
        with monkeypatch.context() as patch:
            patch.setattr(os, "mkdir", refuse)
            with pytest.raises(StorageFull, match=f"{words}.* the disk of the data folder"):
                async with open_backup(server.core.store, server.core.blobs, keep_inputs=True):
                    pass


async def test_an_upload_that_is_still_coming_in_does_not_spoil_a_backup(tmp_path: Path) -> None:
    sent, go = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="spec"\r\n\r\n{}\r\n'
        yield b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.jpg"\r\n\r\n'
        yield bytes(3 << 20)
        sent.set()
        await go.wait()
        yield bytes(3 << 20) + b"\r\n--b--\r\n"

    async with running_server(make_settings(tmp_path / "data")) as server:
        done = await submit(server, ("a.jpg", make_jpeg(20, 20)))
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        posting = asyncio.create_task(
            server.http.post("/api/v1/jobs", data=body(), headers=headers).__aenter__()
        )
        await sent.wait()
        store, blobs = server.core.store, server.core.blobs
        async with open_backup(store, blobs, keep_inputs=True) as made:
            go.set()
            async with await posting as answer:
                assert answer.status == 202
            content = await asyncio.to_thread(b"".join, made.archive)
    (tmp_path / "all.zip").write_bytes(content)
    unpack(tmp_path / "all.zip", tmp_path / "restored")
    async with running_server(make_settings(tmp_path / "restored")) as server:
        assert (await describe(server)).keys() == {done["id"]}


async def test_results_are_recorded_while_nothing_is_removed(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", storage={"keep_inputs": False})
    async with running_server(settings) as server:
        async with server.core.blobs.removing_nothing():
            for number in range(3):
                job = await submit(server, ("a.jpg", make_jpeg(20 + number, 20)))
                assert job["status"] == "completed"
        inputs = tmp_path / "data" / "jobs" / job["id"] / "in"
        assert list(inputs.iterdir()) == []


async def test_a_backup_after_a_crash_leaves_the_sweeping_to_the_next_start(
    tmp_path: Path,
) -> None:
    async with running_server(make_settings(tmp_path / "data")) as server:
        job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    lock = tmp_path / "data" / "lock"
    lock.write_text('{"pid": 1, "url": null}')
    stray = tmp_path / "data" / "jobs" / job["id"] / "in" / new_id()
    stray.write_bytes(b"half an append")
    await back_up(tmp_path / "data", tmp_path / "all.zip")
    assert stray.exists()
    async with running_server(make_settings(tmp_path / "data")):
        assert not stray.exists()


async def test_a_backup_holds_the_watermarks_of_names_and_of_jobs(tmp_path: Path) -> None:
    mark = {"preset_image": "logo", "opacity": 1}
    recipe = {"variants": [{"name": "v", "format": "png", "watermark": mark}]}
    async with (
        running_server(make_settings(tmp_path / "data")) as server,
        Client(server.url) as client,
    ):
        await client.save_watermark("logo", make_jpeg(8, 8))
        job = await client.open_job(recipe=recipe)
        await client.save_watermark("logo", make_jpeg(9, 9))
        kept = await client.watermarks()
        await client.backup(tmp_path / "all.zip")
    unpack(tmp_path / "all.zip", tmp_path / "restored")
    assert len(list((tmp_path / "restored" / "watermarks").iterdir())) == 2
    async with (
        running_server(make_settings(tmp_path / "restored")) as server,
        Client(server.url) as client,
    ):
        assert await client.watermarks() == kept
        await client.append(job["id"], [BytesUpload(make_jpeg(40, 20), "a.jpg")])
        await client.close(job["id"])
        assert (await client.wait(job["id"]))["completed"] == 1


def _check_folder(folder: Path) -> None:
    """The database is sound, and of every row all files are there."""
    examine(folder / "imgsvc.db", thoroughly=True)
    with closing(sqlite3.connect(folder / "imgsvc.db")) as connection:
        images = list(read_image_files(connection))
    for image in images:
        job_folder = folder / "jobs" / image.job_id
        has_input = image.input_sha256 is not None
        assert (job_folder / "in" / image.image_id).exists() == has_input
    found = check_files(folder)
    assert (found.missing, found.changed) == ([], [])


async def test_a_backup_under_full_load_is_consistent_and_every_row_has_its_files(
    tmp_path: Path,
) -> None:
    settings = make_settings(tmp_path / "data", workers={"size": 2})
    async with running_server(settings) as server, Client(server.url) as client:
        jobs: list[str] = []
        done = asyncio.Event()

        async def keep_busy(name: int) -> None:
            while not done.is_set():
                number = len(jobs)
                sizes = [(30 + number, 20 + name + n) for n in range(5)]
                images = [BytesUpload(make_jpeg(*size), "a.jpg") for size in sizes]
                job = await client.submit(images)
                jobs.append(job["id"])
                await client.wait(job["id"])
                if number % 3 == 0:
                    await client.delete(job["id"])

        busy = [asyncio.create_task(keep_busy(name)) for name in range(4)]
        for number in range(4):
            while len(jobs) < 6 * number:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)
            await client.backup(tmp_path / f"{number}.zip")
        done.set()
        await asyncio.gather(*busy)
    for number in range(4):
        folder = tmp_path / f"restored-{number}"
        unpack(tmp_path / f"{number}.zip", folder)
        await asyncio.to_thread(_check_folder, folder)
    async with (
        running_server(make_settings(folder)) as server,
        Client(server.url) as client,
    ):
        for job_id in await server.core.store.unfinished_jobs():
            await client.wait(job_id)
        for found in (await describe(server)).values():
            assert found["job"]["status"] == "completed"
