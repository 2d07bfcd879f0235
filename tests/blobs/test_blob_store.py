"""Publishing outputs, deleting and sweeping."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from structlog.testing import capture_logs

from imgsvc.blobs import disk
from imgsvc.blobs.blob_store import BlobStore
from imgsvc.blobs.disk import find_free_bytes
from imgsvc.blobs.publication import Obstacle, Publication, Unpublished
from imgsvc.domain.ids import new_id
from imgsvc.errors import StorageFull
from tests.rights import without_rights


def data_dir(blobs: BlobStore) -> Path:
    return blobs.watermark_path("0" * 64).parents[1]


def make_output(blobs: BlobStore, name: str, data: bytes = b"made") -> Path:
    path = data_dir(blobs) / "slots" / "0" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def make_publication(blobs: BlobStore, job_id: str, claim: int = 1) -> Publication:
    image_id = new_id()
    return Publication(
        job_id,
        image_id,
        claim,
        {
            "small": (make_output(blobs, f"{image_id}-{claim}-small.webp"), "webp"),
            "large": (make_output(blobs, f"{image_id}-{claim}-large.jpg"), "jpeg"),
        },
    )


def target(blobs: BlobStore, item: Publication, variant: str) -> Path:
    format_ = item.from_paths[variant][1]
    return blobs.output_path(item.job_id, item.image_id, item.claim, variant, format_)


async def make_job(blobs: BlobStore) -> str:
    job_id = new_id()
    await blobs.stage(job_id).sync()
    return job_id


async def test_outputs_are_named_by_image_claim_and_variant(blobs: BlobStore) -> None:
    job_id, image_id = new_id(), new_id()
    path = blobs.output_path(job_id, image_id, 7, "small", "jpeg")

    assert path.parts[-4:] == ("jobs", job_id, "out", f"{image_id}-7-small.jpg")
    assert path.name == blobs.output_name(image_id, 7, "small", "jpeg")


@pytest.mark.parametrize(
    "name", ["../up", "", "A" * 36, "..", "01a1fbc7-4fab-769e-8353-563c07021a9c/x"]
)
async def test_what_is_no_id_names_no_path(blobs: BlobStore, name: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        blobs.input_path(name, new_id())
    with pytest.raises(ValueError, match="not an id"):
        blobs.input_path(new_id(), name)
    with pytest.raises(ValueError, match="not an id"):
        await blobs.delete_job(name)


async def test_publish_moves_outputs_and_syncs_files_before_folders(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(disk, "sync_path", synced.append)
    job_ids = [await make_job(blobs), await make_job(blobs)]
    synced.clear()
    items = [make_publication(blobs, job_id) for job_id in job_ids for _ in range(5)]

    assert await blobs.publish(items) == ()
    files = {target(blobs, item, variant) for item in items for variant in item.from_paths}
    assert all(path.read_bytes() == b"made" for path in files)
    assert not any(path.exists() for item in items for path, _ in item.from_paths.values())
    assert set(synced[:20]) == files
    assert sorted(synced[20:]) == sorted({path.parent for path in files})


async def test_publishing_again_is_harmless(blobs: BlobStore) -> None:
    item = make_publication(blobs, await make_job(blobs))

    assert await blobs.publish([item]) == ()
    assert await blobs.publish([item]) == ()
    assert target(blobs, item, "small").exists()


async def test_outputs_of_a_deleted_job_are_removed_and_told(blobs: BlobStore) -> None:
    kept, gone = await make_job(blobs), await make_job(blobs)
    items = [make_publication(blobs, kept), make_publication(blobs, gone)]
    await blobs.delete_job(gone)
    unpublished = await blobs.publish(items)

    assert [(u.publication, u.obstacle) for u in unpublished] == [(items[1], Obstacle.JOB_GONE)]
    assert target(blobs, items[0], "small").exists()
    assert list((data_dir(blobs) / "slots" / "0").iterdir()) == []
    assert await blobs.job_folders() == [kept]


async def test_a_job_deleted_between_rename_and_sync_is_told(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await make_job(blobs)
    item = make_publication(blobs, job_id)

    def find_it_gone(_path: Path) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(disk, "sync_path", find_it_gone)
    unpublished = await blobs.publish([item])

    assert [u.publication for u in unpublished] == [item]
    assert not target(blobs, item, "small").exists()


async def test_a_missing_output_spoils_its_own_image_only(blobs: BlobStore) -> None:
    job_id = await make_job(blobs)
    good, bad = make_publication(blobs, job_id), make_publication(blobs, job_id)
    bad.from_paths["large"][0].unlink()
    unpublished = await blobs.publish([bad, good])

    assert [(u.publication, u.obstacle) for u in unpublished] == [(bad, Obstacle.OUTPUT_MISSING)]
    assert target(blobs, good, "large").exists()
    assert not target(blobs, bad, "small").exists()


def _put_a_folder(path: Path) -> None:
    path.mkdir()


def _end_the_way(path: Path) -> None:
    path.parent.rmdir()
    path.parent.touch()


def _close_the_way(path: Path) -> None:
    path.parent.rmdir()
    path.parent.symlink_to(path.parent)


@pytest.mark.parametrize("deed", [_put_a_folder, _end_the_way, _close_the_way])
async def test_where_a_file_cannot_stay_its_own_image_alone_suffers(
    blobs: BlobStore, deed: Callable[[Path], None]
) -> None:
    good = make_publication(blobs, await make_job(blobs))
    bad = make_publication(blobs, await make_job(blobs))
    deed(target(blobs, bad, "large"))
    unpublished = await blobs.publish([bad, good])

    assert [(u.publication, u.obstacle) for u in unpublished] == [(bad, Obstacle.OUTPUT_MISSING)]
    assert target(blobs, good, "large").exists()
    await blobs.discard([target(blobs, bad, "large")])


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO])
async def test_a_file_that_cannot_be_synced_spoils_its_own_image_only(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    job_id = await make_job(blobs)
    good, bad = make_publication(blobs, job_id), make_publication(blobs, job_id)
    place = target(blobs, bad, "small")

    def refuse(path: Path) -> None:
        if path == place:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(disk, "sync_path", refuse)
    unpublished = await blobs.publish([bad, good])

    assert [(u.publication, u.obstacle) for u in unpublished] == [(bad, Obstacle.OUTPUT_MISSING)]
    assert target(blobs, good, "small").exists()
    assert not place.exists()


async def test_a_job_whose_folder_is_a_bad_place_suffers_alone(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = make_publication(blobs, await make_job(blobs))
    bad, again = (make_publication(blobs, job) for job in [await make_job(blobs)] * 2)
    for path, _ in again.from_paths.values():
        path.unlink()

    def fail_at_bad_place(step: Any) -> Any:
        def do(*paths: Any, **options: Any) -> Any:
            if any(f"/{bad.job_id}" in str(path) for path in paths):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return step(*paths, **options)

        return do

    with monkeypatch.context() as patch:
        for name in ("stat", "open", "replace", "unlink"):
            patch.setattr(os, name, fail_at_bad_place(getattr(os, name)))
        unpublished = await blobs.publish([bad, again, good])

    assert unpublished == (
        Unpublished(bad, Obstacle.OUTPUT_MISSING),
        Unpublished(again, Obstacle.OUTPUT_MISSING),
    )
    assert target(blobs, good, "large").exists()


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """Also for a user to whom something is forbidden."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.parametrize("everywhere", [False, True])
async def test_without_the_right_to_write_one_image_fails_and_all_of_them_wait(
    shared_folder: Path, everywhere: bool
) -> None:
    with without_rights():
        blobs = BlobStore(shared_folder / "data")
        await blobs.prepare()
        good = make_publication(blobs, await make_job(blobs))
        bad = make_publication(blobs, await make_job(blobs))
        outputs = target(blobs, bad, "small").parent
        for folder in (outputs, outputs.parents[1]) if everywhere else (outputs,):
            folder.chmod(0o500)
        if everywhere:
            with pytest.raises(StorageFull, match="may not write"):
                await blobs.publish([bad, good])
        else:
            (unpublished,) = await blobs.publish([bad, good])
            assert unpublished == Unpublished(bad, Obstacle.OUTPUT_MISSING)
        assert target(blobs, good, "small").exists() is not everywhere
        blobs.close()


async def test_a_full_disk_refuses_the_group_and_leaves_nothing_of_it(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [make_publication(blobs, await make_job(blobs)) for _ in range(3)]

    def fail(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "sync_path", fail)
        with pytest.raises(StorageFull):
            await blobs.publish(items)

    assert not any(target(blobs, item, "small").exists() for item in items)
    assert list((data_dir(blobs) / "slots" / "0").iterdir()) == []


async def test_nothing_to_publish_is_fine(blobs: BlobStore) -> None:
    assert await blobs.publish([]) == ()


async def test_delete_takes_everything_and_may_come_twice(blobs: BlobStore) -> None:
    job_id = await make_job(blobs)
    await blobs.publish([make_publication(blobs, job_id)])
    await blobs.delete_job(job_id)
    await blobs.delete_job(job_id)

    assert list((data_dir(blobs) / "jobs").iterdir()) == []


async def test_prepare_finishes_a_delete_that_a_crash_cut_short(tmp_path: Path) -> None:
    leftover = tmp_path / "data" / "jobs" / f"deleted-{new_id()}" / "in"
    leftover.mkdir(parents=True)
    (leftover / "file").write_bytes(b"x")
    blobs = BlobStore(tmp_path / "data")
    await blobs.prepare()
    blobs.close()

    assert list((tmp_path / "data" / "jobs").iterdir()) == []
    assert (tmp_path / "data" / "slots").is_dir()


async def test_only_folders_of_jobs_are_listed(blobs: BlobStore) -> None:
    job_id = await make_job(blobs)
    jobs = data_dir(blobs) / "jobs"
    (jobs / "lost+found").mkdir()

    assert await blobs.job_folders() == [job_id]


async def test_outputs_without_a_row_are_swept(blobs: BlobStore) -> None:
    job_id = await make_job(blobs)
    item = make_publication(blobs, job_id)
    await blobs.publish([item])
    known = {blobs.output_name(item.image_id, item.claim, "small", "webp")}

    assert await blobs.sweep_outputs({job_id: known, new_id(): set()}) == 1
    assert [path.name for path in target(blobs, item, "small").parent.iterdir()] == [*known]


async def test_what_is_no_plain_file_is_not_swept(blobs: BlobStore, tmp_path: Path) -> None:
    job_id = await make_job(blobs)
    outputs = data_dir(blobs) / "jobs" / job_id / "out"
    (outputs / "@eaDir").mkdir()
    (outputs / "link").symlink_to(tmp_path)

    assert await blobs.sweep_outputs({job_id: set()}) == 0
    assert {path.name for path in outputs.iterdir()} == {"@eaDir", "link"}


async def test_jobs_are_known_whose_folders_changed_since(blobs: BlobStore) -> None:
    jobs = data_dir(blobs) / "jobs"
    early, late, bare = [await make_job(blobs) for _ in range(3)]
    for folder in jobs.glob("*/*"):
        os.utime(folder, ns=(1000, 1000))
    os.utime(jobs / late / "in", ns=(2000, 2000))
    for folder in (jobs / bare).iterdir():
        folder.rmdir()

    assert await blobs.jobs_changed_since(2000) == [late]
    assert set(await blobs.jobs_changed_since(1000)) == {early, late}


async def test_removing_what_is_not_there_is_fine(blobs: BlobStore) -> None:
    job_id = await make_job(blobs)
    file = blobs.stage(job_id).new_file()
    await file.write(b"x")
    await file.finish()
    await blobs.discard([file.path])
    await blobs.discard([file.path])

    assert not file.path.exists()


def test_free_space_is_what_the_disk_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Facts:
        f_blocks = 9
        f_bavail = 3
        f_frsize = 4096
        f_files = 0
        f_favail = 0

    monkeypatch.setattr(os, "statvfs", lambda _path: Facts())

    assert find_free_bytes(tmp_path) == 3 * 4096
    Facts.f_files = 100
    assert find_free_bytes(tmp_path) == 0
    Facts.f_favail = 1
    assert find_free_bytes(tmp_path) == 3 * 4096
    Facts.f_blocks = Facts.f_bavail = 0  # of a tmpfs without a limit
    assert find_free_bytes(tmp_path) == sys.maxsize


async def test_a_full_disk_has_no_room_even_where_no_reserve_is_kept(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Facts:
        f_blocks, f_bavail, f_frsize, f_files = 9, 0, 1, 0

    await blobs.keep_ballast(0)
    monkeypatch.setattr(os, "statvfs", lambda _path: Facts())
    assert not await blobs.has_room(0)
    with pytest.raises(StorageFull, match="The disk is full"):
        await blobs.check_room(0)
    with pytest.raises(StorageFull, match="below the reserve"):
        await blobs.check_room(1)
    Facts.f_bavail = 1
    await blobs.check_room(0)
    assert await blobs.has_room(0)
    await blobs.give_up_ballast()
    assert not await blobs.has_room(0)


async def test_that_nothing_is_accepted_is_said_when_it_begins_and_when_it_is_over(
    blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Facts:
        f_blocks, f_bavail, f_frsize, f_files = 9, 100, 1, 0

    await blobs.keep_ballast(0)
    monkeypatch.setattr(os, "statvfs", lambda _path: Facts())
    with capture_logs() as logs:
        assert not await blobs.has_room(100)
        await blobs.keep_ballast(100)
        Facts.f_bavail = 101
        await blobs.keep_ballast(100)  # which upkeep does again and again
    (begun, over) = logs
    assert (begun["event"], begun["log_level"]) == ("storage_full", "warning")
    assert (begun["free_bytes"], begun["kept_bytes"]) == (100, 100)
    assert (over["event"], over["log_level"]) == ("storage_has_room", "info")


async def test_space_is_kept_aside_where_it_leaves_the_reserve_until_it_is_given_up(
    blobs: BlobStore, tmp_path: Path
) -> None:
    def kept() -> list[int]:
        return [path.stat().st_blocks * 512 for path in tmp_path.rglob("ballast")]

    await blobs.keep_ballast(1 << 60)
    assert kept() == []
    (tmp_path / "data" / "ballast").touch()  # a death between making the file and taking the space
    await blobs.keep_ballast(0)
    (kept_bytes,) = kept()
    assert kept_bytes >= 1 << 20
    await blobs.give_up_ballast()
    await blobs.give_up_ballast()
    assert kept() == []
