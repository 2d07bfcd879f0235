"""Requests that end while what they bring is being committed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from imgsvc.domain.job import Job
from imgsvc.errors import StorageFull
from imgsvc.intake.reception import receive_body
from imgsvc.intake.spec import JobSpec
from imgsvc.service.append import Appender
from imgsvc.service.wait import Waiter
from tests.pictures import make_jpeg
from tests.servers import Running, form_of, make_settings, running_server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_server(make_settings(tmp_path / "data")) as running:
        yield running


class Held:
    """A write of the store that waits until it is let go, as on a slow disk."""

    def __init__(self, write: Callable[..., Awaitable[Any]]) -> None:
        self._write = write
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.begun.set()
        await self.go.wait()
        return await self._write(*args, **kwargs)


async def take_in(receiver: Any, content: bytes) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    image = await receive_body(chunks(), receiver.stage, name="a.jpg", max_image_bytes=1 << 20)
    await receiver.add(image)


async def open_job(server: Running) -> Job:
    async with await server.core.submitter.begin("api") as submission:
        await submission.describe(JobSpec(open=True, preset="thumbnail"))
        return await submission.commit()


async def test_an_append_that_is_cancelled_while_it_is_committed_keeps_its_files(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = server.core
    job = await open_job(server)
    held = Held(core.store.append_images)
    monkeypatch.setattr(core.store, "append_images", held)
    appender = Appender(
        core.store, core.blobs, core.dispatcher, core.readiness, core.settings.limits
    )

    async def append() -> None:
        async with await appender.begin(job.id) as appending:
            await appending.describe(JobSpec())
            await take_in(appending, make_jpeg(20, 20))
            await appending.commit()

    request = asyncio.create_task(append())
    await held.begun.wait()
    request.cancel()
    held.go.set()
    with pytest.raises(asyncio.CancelledError):
        await request
    await core.store.close_job(job.id, 1)
    done = await Waiter(core.store, core.hub).wait(job.id, 30)
    assert (done.state, done.completed) == ("completed", 1)


async def test_a_submit_that_is_cancelled_while_it_is_committed_stays(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = server.core
    held = Held(core.store.close_job)
    monkeypatch.setattr(core.store, "close_job", held)
    ids: list[str] = []

    async def submit() -> None:
        async with await core.submitter.begin("api") as submission:
            ids.append(submission.job_id)
            await submission.describe(JobSpec(preset="thumbnail"))
            await take_in(submission, make_jpeg(20, 20))
            await submission.commit("a-key")

    request = asyncio.create_task(submit())
    await held.begun.wait()
    request.cancel()
    held.go.set()
    with pytest.raises(asyncio.CancelledError):
        await request
    done = await Waiter(core.store, core.hub).wait(ids[0], 30)
    assert (done.state, done.completed) == ("completed", 1)


async def test_a_submit_that_cannot_be_dropped_leaves_no_file_and_is_dropped_later(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = server.core
    jobs = core.settings.storage.data_dir / "jobs"

    async def refuse(*_: object, **__: object) -> bool:
        raise StorageFull("There is not enough free disk space.")

    with monkeypatch.context() as full:
        full.setattr(core.store, "delete_job", refuse)
        async with await core.submitter.begin("api") as submission:
            await submission.describe(JobSpec(preset="thumbnail"))
            await take_in(submission, make_jpeg(30, 20))
            assert submission._flushing is not None
            await submission._flushing
        assert list(jobs.iterdir()) == []
        assert await core.store.job_ids([submission.job_id]) == {submission.job_id}
    await core.deleter.drop_rest(0)
    assert await core.store.job_ids([submission.job_id]) == set()


async def _remove_log(server: Running) -> None:
    log = server.core.settings.storage.data_dir / "imgsvc.db-wal"
    await asyncio.to_thread(log.unlink)


async def _fail_to_sync(server: Running) -> None:
    """The log is written, and then its sync fails: SQLite says so at the commit."""
    connection = server.core.store._connection
    execute = connection.execute_fetchall

    async def fail(sql: str, *parameters: Any) -> Any:
        rows = await execute(sql, *parameters)
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return rows

    setattr(connection, "execute_fetchall", fail)  # noqa: B010 - of a finer type


async def _fail_to_begin(server: Running) -> None:
    connection = server.core.store._connection

    async def fail(_sql: str, *_: Any) -> Any:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    setattr(connection, "executescript", fail)  # noqa: B010 - of a finer type


DEEDS = [(_remove_log, 1), (_fail_to_sync, 1), (_fail_to_begin, 0)]


@pytest.mark.parametrize(("deed", "stands"), DEEDS)
async def test_a_commit_in_doubt_has_its_files_or_no_row_after_the_next_start(
    tmp_path: Path, deed: Callable[[Running], Awaitable[None]], stands: int
) -> None:
    settings = make_settings(tmp_path / "data")
    headers = {"Idempotency-Key": "a-key"}

    def files() -> int:
        return len(list(settings.storage.data_dir.glob("jobs/*/in/*")))

    async with running_server(settings) as server:
        job = await open_job(server)
        images = f"/api/v1/jobs/{job.id}/images"
        await deed(server)
        form = form_of(("a.jpg", make_jpeg(20, 20)))
        async with server.http.post(images, data=form, headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "shutting_down")
        assert files() == 1
    async with running_server(settings) as server:
        assert files() == (await server.core.store.job(job.id)).total == stands
        form = form_of(("a.jpg", make_jpeg(20, 20)))
        async with server.http.post(images, data=form, headers=headers) as answer:
            assert answer.status == 202
            assert ("Idempotency-Replayed" in answer.headers) is (stands == 1)
        await server.core.store.close_job(job.id, 1)
        done = await Waiter(server.core.store, server.core.hub).wait(job.id, 30)
        assert (done.state, done.completed) == ("completed", 1)


@pytest.mark.parametrize(("deed", "stands"), DEEDS)
async def test_a_submit_in_doubt_has_its_files_or_no_row_after_the_next_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    deed: Callable[[Running], Awaitable[None]],
    stands: int,
) -> None:
    settings = make_settings(tmp_path / "data")
    headers = {"Idempotency-Key": "a-key"}

    def files() -> int:
        return len(list(settings.storage.data_dir.glob("jobs/*/in/*")))

    async with running_server(settings) as server:
        core = server.core
        close_job = core.store.close_job

        async def close(*arguments: Any) -> Job:
            await deed(server)
            return await close_job(*arguments)

        monkeypatch.setattr(core.store, "close_job", close)
        # Nothing else is to be committed meanwhile.
        monkeypatch.setattr(core.dispatcher, "job_has_work", lambda _job: None)
        form = form_of(("a.jpg", make_jpeg(20, 20)))
        async with server.http.post("/api/v1/jobs", data=form, headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "shutting_down")
        assert files() == 1
    async with running_server(settings) as server:
        jobs, _ = await server.core.store.jobs(limit=9)
        assert files() == len(jobs) == stands
        form = form_of(("a.jpg", make_jpeg(20, 20)))
        async with server.http.post("/api/v1/jobs", data=form, headers=headers) as answer:
            assert answer.status == 202
            assert ("Idempotency-Replayed" in answer.headers) is (stands == 1)
            job = await answer.json()
        done = await Waiter(server.core.store, server.core.hub).wait(job["id"], 30)
        assert (done.state, done.completed) == ("completed", 1)
        assert (await server.core.store.jobs(limit=9))[0] == [done]
