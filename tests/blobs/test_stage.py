"""Receiving files into a job's folder."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from imgsvc.blobs import disk
from imgsvc.blobs.backlog import BACKLOG_BYTES, LEAST_BYTES, Backlog
from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.stage import BLOCK_BYTES, EARLY_SYNC_BYTES, EARLY_SYNCS, MAX_CHUNKS, Stage
from imgsvc.domain.ids import is_id, new_id
from imgsvc.errors import NotFound, StorageFull


def job_path(blobs: BlobStore, job_id: str) -> Path:
    return blobs.input_path(job_id, new_id()).parent.parent


def hold_writes(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Every write waits until the event is set."""
    go_on = threading.Event()
    write = os.writev

    def slow_write(fd: int, chunks: list[bytes]) -> int:
        assert go_on.wait(10)
        return write(fd, chunks)

    monkeypatch.setattr(os, "writev", slow_write)
    return go_on


async def write_file(stage: Stage, data: bytes) -> Path:
    file = stage.new_file()
    await file.write(data)
    await file.finish()
    return file.path


@pytest.mark.parametrize("size_bytes", [1, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 7])
async def test_a_file_holds_what_was_written(blobs: BlobStore, size_bytes: int) -> None:
    data = os.urandom(size_bytes)
    job_id = new_id()
    file = blobs.stage(job_id).new_file()
    for start in range(0, size_bytes, 300_000):
        await file.write(data[start : start + 300_000])

    assert await file.finish() == (size_bytes, hashlib.sha256(data).hexdigest())
    assert is_id(file.image_id)
    assert file.path == blobs.input_path(job_id, file.image_id)
    assert file.path.read_bytes() == data


async def test_a_small_file_costs_one_thread_hop(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops = 0
    run = disk.DiskThreads.run

    async def count(self: disk.DiskThreads, *args: object, **kwargs: object) -> object:
        nonlocal hops
        hops += 1
        return await run(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(disk.DiskThreads, "run", count)
    await write_file(blobs.stage(new_id()), b"x" * 10_000)

    assert hops == 1


async def test_nothing_touches_the_disk_before_bytes_do(blobs: BlobStore) -> None:
    stage = blobs.stage(new_id())
    await stage.new_file().abort()

    assert await blobs.job_folders() == []


async def test_an_aborted_file_leaves_nothing(blobs: BlobStore) -> None:
    job_id = new_id()
    stage = blobs.stage(job_id)
    kept = await write_file(stage, b"kept")
    file = stage.new_file()
    await file.write(b"x" * (2 * BLOCK_BYTES))
    await file.settle()
    assert file.path.exists()
    await file.abort()

    assert list(kept.parent.iterdir()) == [kept]


async def test_sync_covers_files_before_folders_from_inside_out(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(disk, "sync_path", synced.append)
    job_id = new_id()
    folder = job_path(blobs, job_id)
    stage = blobs.stage(job_id)
    files = {await write_file(stage, b"%d" % n) for n in range(20)}
    await stage.sync()

    assert set(synced[:20]) == files
    assert synced[20:] == [folder / "in", folder, folder.parent]

    synced.clear()
    await stage.sync()
    assert synced == []

    another = await write_file(stage, b"another")
    await stage.sync()
    assert synced == [another, folder / "in"]


async def test_a_large_file_goes_to_stable_storage_before_the_sync_and_only_once(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(disk, "sync_path", synced.append)
    stage = blobs.stage(new_id())
    large = [await write_file(stage, b"x" * EARLY_SYNC_BYTES) for _ in range(EARLY_SYNCS + 1)]
    small = await write_file(stage, b"x")
    await stage.sync()

    files = [path for path in synced if path.parent.name == "in"]
    assert sorted(files) == sorted([*large, small])
    assert set(synced[: len(files)]) == set(files)


async def test_a_large_file_that_never_reached_the_disk_fails_the_sync(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = blobs.stage(new_id())

    def fail(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(disk, "sync_path", fail)
    await write_file(stage, b"x" * EARLY_SYNC_BYTES)
    with pytest.raises(StorageFull):
        await stage.sync()
    await stage.discard()


async def test_sync_makes_the_folders_of_a_job_without_files(blobs: BlobStore) -> None:
    job_id = new_id()
    await blobs.stage(job_id).sync()

    assert {path.name for path in job_path(blobs, job_id).iterdir()} == {"in", "out"}


async def test_a_sync_that_failed_is_made_up_for_by_the_next(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = blobs.stage(new_id())
    file = await write_file(stage, b"x")

    def fail(_path: Path) -> None:
        raise OSError(errno.EIO, "bad disk")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync_path", fail)
        with pytest.raises(OSError, match="bad disk"):
            await stage.sync()
    synced: list[Path] = []
    monkeypatch.setattr(disk, "sync_path", synced.append)
    await stage.sync()

    assert file in synced


async def test_discard_takes_the_folder_that_the_stage_made(blobs: BlobStore) -> None:
    job_id = new_id()
    stage = blobs.stage(job_id)
    await write_file(stage, b"finished")
    half = stage.new_file()
    await half.write(b"x" * BLOCK_BYTES)
    await stage.discard()
    await stage.discard()

    assert list(job_path(blobs, job_id).parent.iterdir()) == []


async def test_discard_leaves_what_an_earlier_stage_brought(blobs: BlobStore) -> None:
    job_id = new_id()
    first = blobs.stage(job_id)
    kept = await write_file(first, b"first")
    await first.sync()
    second = blobs.stage(job_id)
    await write_file(second, b"second")
    await second.sync()
    await second.discard()

    assert list(kept.parent.iterdir()) == [kept]


async def test_a_file_goes_on_arriving_while_blocks_of_it_wait_for_the_disk(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_goes_on = hold_writes(monkeypatch)
    data = os.urandom(5 * BLOCK_BYTES + 1)
    file = blobs.stage(new_id()).new_file()
    for start in range(0, len(data), BLOCK_BYTES):
        await file.write(data[start : start + BLOCK_BYTES])
    disk_goes_on.set()

    assert await file.finish() == (len(data), hashlib.sha256(data).hexdigest())
    assert file.path.read_bytes() == data


async def test_while_much_waits_for_the_disk_each_file_has_one_block_on_its_way(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_goes_on = hold_writes(monkeypatch)
    large = blobs.stage(new_id()).new_file()
    await large.write(b"x" * BACKLOG_BYTES)
    other = blobs.stage(new_id()).new_file()
    await other.write(b"1" * BLOCK_BYTES)
    second = asyncio.create_task(other.write(b"2" * BLOCK_BYTES))
    for _ in range(10):  # turns of the loop, each of which would have been enough
        await asyncio.sleep(0)
    assert not second.done()

    disk_goes_on.set()
    await second
    assert (await other.finish())[0] == 2 * BLOCK_BYTES
    assert (await large.finish())[0] == BACKLOG_BYTES
    assert other.path.read_bytes() == b"1" * BLOCK_BYTES + b"2" * BLOCK_BYTES


async def test_tiny_pieces_that_wait_for_the_disk_count_for_what_they_take_and_can_be_cancelled(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_goes_on = hold_writes(monkeypatch)
    file = blobs.stage(new_id()).new_file()
    for _ in range(BACKLOG_BYTES // LEAST_BYTES * MAX_CHUNKS):
        await file.write(b"..")
    more = asyncio.create_task(file.write(b"x" * BLOCK_BYTES))
    for _ in range(10):  # turns of the loop, each of which would have been enough
        await asyncio.sleep(0)
    assert not more.done()
    more.cancel()
    file._writes[-1].cancel()
    disk_goes_on.set()
    await file.abort()

    assert not file.path.exists()


async def test_a_write_that_is_cancelled_before_it_begins_is_counted_no_longer() -> None:
    backlog = Backlog(limit_bytes=1)
    write = asyncio.create_task(asyncio.sleep(0))
    backlog.follow(write, 1)
    assert backlog.is_full()
    write.cancel()
    await asyncio.wait([write])

    assert not backlog.is_full()


async def test_a_write_cut_off_by_a_cancel_does_not_outlive_discard(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, may_go_on = threading.Event(), threading.Event()
    write = os.writev

    def slow_write(fd: int, chunks: list[bytes]) -> int:
        writing.set()
        may_go_on.wait(10)
        return write(fd, chunks)

    monkeypatch.setattr(os, "writev", slow_write)
    job_id = new_id()
    stage = blobs.stage(job_id)
    file = stage.new_file()
    await file.write(b"x" * BACKLOG_BYTES)
    task = asyncio.create_task(file.write(b"x" * BLOCK_BYTES))  # has to wait for the first
    await asyncio.to_thread(writing.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    discard = asyncio.create_task(stage.discard())
    may_go_on.set()
    await discard

    assert await blobs.job_folders() == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_storage_full(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(_fd: int, _chunks: list[bytes]) -> int:
        raise OSError(number, "full")

    monkeypatch.setattr(os, "writev", fail)
    stage = blobs.stage(new_id())
    with pytest.raises(StorageFull):
        await write_file(stage, b"x")
    await stage.discard()

    assert await blobs.job_folders() == []


async def test_a_write_that_failed_behind_the_back_is_told_by_the_next(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    def fail(_fd: int, _chunks: list[bytes]) -> int:
        nonlocal tries
        tries += 1
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "writev", fail)
    stage = blobs.stage(new_id())
    file = stage.new_file()
    await file.write(b"x" * BLOCK_BYTES)
    await file.write(b"x" * BLOCK_BYTES)
    for _ in range(2):
        with pytest.raises(StorageFull):
            await file.finish()
    await stage.discard()

    assert tries == 1  # what comes behind a gap is not written

    assert await blobs.job_folders() == []


async def test_a_write_that_was_cut_short_goes_on(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "writev", lambda fd, chunks: os.write(fd, chunks[0][:1]))
    path = await write_file(blobs.stage(new_id()), b"whole")

    assert path.read_bytes() == b"whole"


async def test_other_disk_errors_come_as_they_are(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_fd: int, _chunks: list[bytes]) -> int:
        raise OSError(errno.EIO, "bad disk")

    monkeypatch.setattr(os, "writev", fail)
    stage = blobs.stage(new_id())
    with pytest.raises(OSError, match="bad disk"):
        await write_file(stage, b"x")
    await stage.discard()


async def test_a_job_deleted_meanwhile_is_not_found(blobs: BlobStore) -> None:
    job_id = new_id()
    stage = blobs.stage(job_id)
    await write_file(stage, b"x")
    await blobs.delete_job(job_id)

    with pytest.raises(NotFound):
        await write_file(stage, b"y")
    with pytest.raises(NotFound):
        await stage.sync()
    await stage.discard()
    assert await blobs.job_folders() == []


async def test_a_discarded_stage_takes_no_more_files(blobs: BlobStore) -> None:
    stage = blobs.stage(new_id())
    file = stage.new_file()
    await stage.discard()
    await file.write(b"late")
    await file.finish()

    with pytest.raises(RuntimeError):
        stage.new_file()
    assert await blobs.job_folders() == []


async def test_a_folder_of_all_jobs_that_was_removed_is_made_again_but_never_that_of_all_data(
    blobs: BlobStore, tmp_path: Path
) -> None:
    jobs = job_path(blobs, new_id()).parent
    jobs.rmdir()
    stage = blobs.stage(new_id())
    assert (await write_file(stage, b"a photo")).is_relative_to(jobs)
    await stage.sync()
    jobs.parent.rename(tmp_path / "moved")
    with pytest.raises(NotFound):
        await write_file(blobs.stage(new_id()), b"a photo")
    assert not jobs.parent.exists()
