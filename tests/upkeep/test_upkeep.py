"""Expiry and the sweep of what belongs to nobody."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from imgsvc.blobs.blob_store import BlobStore
from imgsvc.config import Settings
from imgsvc.domain.ids import new_id
from imgsvc.domain.times import now_ms
from imgsvc.errors import NotFound, StorageFull
from imgsvc.service.delete import Deleter
from imgsvc.store.copies import ImageFiles
from imgsvc.store.store import Store
from imgsvc.upkeep import orphans
from imgsvc.upkeep.ballast import KeptBallast
from imgsvc.upkeep.expiry import Expiry
from imgsvc.upkeep.orphans import sweep_orphans
from imgsvc.upkeep.rounds import keep_looking, repeat
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, get_json, make_settings, running_server, submit
from tests.store.builders import create

DAY_MS = 86_400_000


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_server(make_settings(tmp_path / "data")) as running:
        yield running


def _crash(settings: Settings) -> None:
    """Leave the lock as a server does that is killed."""
    (settings.storage.data_dir / "lock").write_text('{"pid": 1, "url": null}')


def _folders(server: Running) -> set[str]:
    return {path.name for path in (server.core.settings.storage.data_dir / "jobs").iterdir()}


async def test_a_job_is_deleted_when_its_time_is_over(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    assert job["expires_at"] > job["finished_at"]
    deleter = Deleter(server.core.store, server.core.blobs)
    expiry = Expiry(server.core.store, deleter.delete_expired)
    assert await expiry.run_once(now_ms()) == 0
    assert await expiry.run_once(now_ms() + DAY_MS) == 1
    await get_json(server, job["links"]["self"], 404)
    assert _folders(server) == set()


async def test_a_job_kept_for_ever_stays(server: Running) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)), spec='{"retain_s": 0}')
    assert job["expires_at"] is None
    expiry = Expiry(server.core.store, Deleter(server.core.store, server.core.blobs).delete_expired)
    assert await expiry.run_once(now_ms() + 1000 * DAY_MS) == 0


async def test_folders_that_no_job_names_are_swept_at_start(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    async with running_server(settings) as server:
        job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    stray = settings.storage.data_dir / "jobs" / new_id() / "in"
    stray.mkdir(parents=True)
    (stray / new_id()).write_bytes(b"half an upload")
    async with running_server(settings) as server:
        assert _folders(server) == {job["id"]}
        assert (await get_json(server, job["links"]["self"]))["status"] == "completed"


async def test_images_of_an_append_that_a_crash_cut_short_are_swept_at_start(
    tmp_path: Path,
) -> None:
    settings = make_settings(tmp_path / "data")
    spec = json.dumps({"open": True, "preset": "thumbnail"})
    async with running_server(settings) as server:
        form = form_of(("a.jpg", make_jpeg(20, 20)), spec=spec)
        async with server.http.post("/api/v1/jobs", data=form) as answer:
            job = await answer.json()
    inputs = settings.storage.data_dir / "jobs" / job["id"] / "in"
    (kept,) = inputs.iterdir()
    (inputs / new_id()).write_bytes(b"half an append")
    _crash(settings)
    async with running_server(settings):
        assert list(inputs.iterdir()) == [kept]


async def test_a_job_taken_up_again_while_others_expire_is_kept(server: Running) -> None:
    jobs = [await submit(server, (f"{n}.jpg", b"no image" + bytes([n]))) for n in range(2)]
    later = now_ms() + DAY_MS
    deleter = Deleter(server.core.store, server.core.blobs)

    async def retry_the_other_first(job_id: str, now: int) -> None:
        if job_id == jobs[0]["id"]:
            await server.core.store.retry_images(jobs[1]["id"])
        await deleter.delete_expired(job_id, now)

    assert await Expiry(server.core.store, retry_the_other_first).run_once(later) == 2
    assert _folders(server) == {jobs[1]["id"]}
    await get_json(server, jobs[1]["links"]["self"])


async def test_where_the_rows_of_an_expired_job_find_no_space_its_files_go_first(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, taken_up = [await submit(server, (f"{n}.jpg", f"no image {n}".encode())) for n in "ab"]
    store, later = server.core.store, now_ms() + DAY_MS
    deleter = Deleter(store, server.core.blobs)
    delete_job = store.delete_job

    async def need_room(job_id: str, **guard: int) -> bool:
        if job_id in await server.core.blobs.job_folders():
            raise StorageFull("There is no space.")
        with pytest.raises(NotFound):  # it has no files any more
            await store.retry_images(job_id)
        return await delete_job(job_id, **guard)

    monkeypatch.setattr(store, "delete_job", need_room)
    await store.retry_images(taken_up["id"])
    for expired in (job, taken_up):
        await deleter.delete_expired(expired["id"], later)
    assert _folders(server) == {taken_up["id"]}
    assert await store.job_ids([job["id"], taken_up["id"]]) == {taken_up["id"]}


async def test_an_expired_job_that_lost_its_files_and_not_its_rows_is_seen_by_nobody(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    deleter = Deleter(server.core.store, server.core.blobs)

    async def find_no_space(*_: object, **__: object) -> bool:
        raise StorageFull("There is no space.")

    with monkeypatch.context() as patch:
        patch.setattr(server.core.store, "delete_job", find_no_space)
        with pytest.raises(StorageFull):
            await deleter.delete_expired(job["id"], now_ms() + DAY_MS)
    await get_json(server, job["links"]["self"], 404)
    assert _folders(server) == set()
    assert await Expiry(server.core.store, deleter.delete_expired).run_once(now_ms() + DAY_MS) == 1
    assert await server.core.store.job_ids([job["id"]]) == set()


async def test_a_job_whose_rows_find_no_space_is_seen_by_nobody_and_goes_when_there_is_some(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    deleter = server.core.deleter

    async def find_no_space(*_: object, **__: object) -> bool:
        raise StorageFull("There is no space.")

    with monkeypatch.context() as patch:
        patch.setattr(server.core.store, "delete_job", find_no_space)
        with pytest.raises(StorageFull):
            await deleter.delete(job["id"])
    await get_json(server, job["links"]["self"], 404)
    assert _folders(server) == set()
    assert await deleter.drop_rest(now_ms()) == 1
    assert await server.core.store.job_ids([job["id"]]) == set()
    assert await deleter.drop_rest(now_ms()) == 0


async def test_where_no_space_can_be_set_aside_all_goes_on_without_and_it_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def write_zeros(file: int, offset: int, size_bytes: int) -> None:
        """What the C library does where the disk cannot: it reads what it is about to write."""
        os.pread(file, 1, offset)
        os.pwrite(file, b"\0", size_bytes - 1)

    blobs = BlobStore(tmp_path)
    ballast = KeptBallast(blobs, reserve_bytes=0)
    for is_refused in (True, False, True):
        await blobs.give_up_ballast()
        monkeypatch.setattr(os, "posix_fallocate", refuse if is_refused else write_zeros)
        with capture_logs() as logs:
            assert [await ballast.run_once(0) for _ in range(2)] == [0, 0]
        assert [entry["event"] for entry in logs] == ["no_space_kept_aside"] * is_refused
        assert await asyncio.to_thread((tmp_path / "ballast").exists) is not is_refused
    blobs.close()


async def test_a_job_appended_to_meanwhile_is_not_idle(server: Running) -> None:
    form = form_of(spec='{"open": true}')
    async with server.http.post("/api/v1/jobs", data=form) as answer:
        job = await answer.json()
    store = server.core.store
    idle_since = now_ms()
    assert await store.idle_open_jobs(idle_since, 10) == [job["id"]]
    appended = form_of(("a.jpg", make_jpeg(20, 20)))
    async with server.http.post(f"{job['links']['images']}", data=appended) as answer:
        assert answer.status == 202
    assert not await store.close_idle_job(job["id"], idle_since - 1, now_ms())
    assert (await get_json(server, job["links"]["self"]))["open"]
    assert await store.close_idle_job(job["id"], now_ms() + 1, now_ms())


@pytest.mark.parametrize("rhythm", [repeat, keep_looking])
async def test_upkeep_waits_for_a_full_disk_and_says_so_once(rhythm: Any) -> None:
    full, over = StorageFull("There is not enough free disk space."), asyncio.CancelledError()
    outcomes = iter([full, full, None, None, full, over])

    async def run_once(_now: int = 0) -> int:
        if outcome := next(outcomes):
            raise outcome
        return 0

    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await rhythm(run_once, 0.0)
    assert [log["event"] for log in logs] == ["storage_full", "storage_has_room", "storage_full"]


async def test_files_that_came_too_late_for_a_job_are_swept_at_start(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    async with running_server(settings) as server:
        job = await submit(server, ("a.jpg", make_jpeg(20, 20)), preset="thumbnail")
    folder = settings.storage.data_dir / "jobs" / job["id"]
    kept = {path for path in folder.rglob("*") if path.is_file()}
    (folder / "out" / f"{new_id()}-1-thumbnail.webp").write_bytes(b"a late result")
    (folder / "in" / new_id()).write_bytes(b"an append that found the job closed")
    _crash(settings)
    async with running_server(settings):
        assert {path for path in folder.rglob("*") if path.is_file()} == kept


async def test_a_crash_is_looked_after_wherever_it_may_have_left_something_and_nowhere_else(
    tmp_path: Path,
) -> None:
    """However long ago a job ended: an append may still have been on its way."""
    settings = make_settings(tmp_path / "data")
    data_dir = settings.storage.data_dir
    jobs = []
    async with running_server(settings) as server:
        for name in ("late", "early", "new"):
            job = await submit(server, (name, make_jpeg(20, 20)), preset="thumbnail")
            jobs.append(data_dir / "jobs" / job["id"] / "in")
        said = (data_dir / "lock").read_text()
    since_ns = json.loads(said)["since_ns"]
    with closing(sqlite3.connect(data_dir / "imgsvc.db")) as database, database:
        long_ago = "UPDATE jobs SET finished_at = finished_at - 3600000 WHERE id <> ?"
        database.execute(long_ago, (jobs[2].parent.name,))
    for folder in jobs:
        (folder / new_id()).write_bytes(b"half an append")
    for folder in (jobs[1], jobs[1].with_name("out")):
        os.utime(folder, ns=(since_ns - 1, since_ns - 1))
    (data_dir / "lock").write_text(said)
    async with running_server(settings):
        assert [len(list(folder.iterdir())) for folder in jobs] == [1, 2, 1]


async def test_jobs_of_few_images_are_swept_together_and_each_by_its_own_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "MAX_IMAGES", 5)
    store, blobs = await Store.open(tmp_path / "imgsvc.db"), BlobStore(tmp_path)
    asked: list[Collection[str]] = []
    image_files = store.image_files

    async def note(job_ids: Collection[str]) -> list[ImageFiles]:
        asked.append(job_ids)
        return await image_files(job_ids)

    monkeypatch.setattr(store, "image_files", note)
    jobs = [(await create(store, count)).id for count in (2, 2, 1, 9, 0, 5)]
    names = {job: {image.image_id for image in await image_files([job])} for job in jobs}
    for job, other in zip(jobs, [*jobs[1:], jobs[0]], strict=True):
        (tmp_path / "jobs" / job / "out").mkdir(parents=True)
        (tmp_path / "jobs" / job / "in").mkdir()
        for name in {*names[job], *names[other]}:
            (tmp_path / "jobs" / job / "in" / name).touch()
    await blobs.prepare()
    swept = await sweep_orphans(store, blobs, keep_inputs=True, since_ns=0)
    assert swept == sum(map(len, names.values()))
    assert asked == [jobs[:3], jobs[3:4], jobs[4:]]
    for job in jobs:
        assert {path.name for path in (tmp_path / "jobs" / job / "in").iterdir()} == names[job]
    blobs.close()
    await store.close()


async def test_inputs_that_were_to_be_dropped_are_swept_at_start(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data")
    async with running_server(settings) as server:
        job = await submit(
            server, ("a.jpg", make_jpeg(20, 20)), ("b.jpg", b"no image"), preset="thumbnail"
        )
        images = (await get_json(server, job["links"]["images"]))["items"]
    settings = make_settings(tmp_path / "data", storage={"keep_inputs": False})
    _crash(settings)
    async with running_server(settings):
        inputs = settings.storage.data_dir / "jobs" / job["id"] / "in"
        assert [path.name for path in inputs.iterdir()] == [images[1]["id"]]


async def test_a_job_that_upkeep_removes_while_its_files_go_was_there_to_be_deleted(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await submit(server, ("a.jpg", make_jpeg(20, 20)))
    deleter, store, blobs = server.core.deleter, server.core.store, server.core.blobs
    delete_rows, delete_files = store.delete_job, blobs.delete_job
    has_room = asyncio.Event()

    async def delete_with_room(job_id: str, expired_at_ms: int | None = None) -> bool:
        if not has_room.is_set():
            raise StorageFull("There is no space.")
        return await delete_rows(job_id, expired_at_ms=expired_at_ms)

    async def make_room(job_id: str) -> None:
        await delete_files(job_id)
        if not has_room.is_set():
            has_room.set()
            assert await deleter.drop_rest(now_ms()) == 1

    monkeypatch.setattr(store, "delete_job", delete_with_room)
    monkeypatch.setattr(blobs, "delete_job", make_room)
    await deleter.delete(job["id"])
    assert await store.job_ids([job["id"]]) == set()
