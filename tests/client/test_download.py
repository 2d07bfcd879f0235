from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from imgsvc.client import (
    ApiError,
    BytesUpload,
    Client,
    ClientError,
    Downloaded,
    Job,
    LocalFileError,
    ResultsLost,
    ResultsUnsaved,
)
from imgsvc.client import download as module
from imgsvc.client.download import fetch_to_file
from imgsvc.files.places import Places
from tests.client.pictures import picture
from tests.server_process import ServerProcess

RECIPE = {
    "variants": [
        {"name": "small", "width": 20, "format": "webp"},
        {"name": "as-is", "width": 30},
    ]
}
NAMES = ["a.png", "a.jpg", "trip/b.png", "../../evil.png", "broken.png"]
EXPECTED = {
    "a.png-small.webp",
    "a.png-as-is.png",
    "a.jpg-small.webp",
    "a.jpg-as-is.jpg",
    "trip/b-small.webp",
    "trip/b-as-is.png",
    "evil-small.webp",
    "evil-as-is.png",
}


@pytest.fixture
async def job(client: Client) -> Job:
    """A job that has ended, of images whose names collide or are hostile; one failed."""
    contents = [
        picture("red"),
        picture("green", format_="JPEG"),
        picture("blue"),
        picture("black"),
        b"no image",
    ]
    images = [BytesUpload(*both) for both in zip(contents, NAMES, strict=True)]
    submitted = await client.submit(images, recipe=RECIPE)
    return await client.wait(submitted["id"])


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


async def test_every_finished_file_is_saved_under_its_name(
    client: Client, job: Job, tmp_path: Path
) -> None:
    done = await client.download(job["id"], tmp_path / "out")
    files = files_below(tmp_path)
    assert set(files) == {f"out/{name}" for name in EXPECTED}
    made = {
        output["sha256"] async for image in client.images(job["id"]) for output in image["outputs"]
    }
    assert {hashlib.sha256(content).hexdigest() for content in files.values()} == made
    assert (done.total, done.saved, done.skipped) == (8, 8, 0)
    assert done.saved_bytes == sum(map(len, files.values())) == job["output_bytes"]


async def test_the_archive_holds_the_same_files(client: Client, job: Job, tmp_path: Path) -> None:
    await client.download(job["id"], tmp_path / "out")
    archive = tmp_path / "all.zip"
    size_bytes = await client.download_archive(job["id"], archive)
    assert size_bytes == archive.stat().st_size
    with zipfile.ZipFile(archive) as opened:
        content = {name: opened.read(name) for name in opened.namelist()}
    assert content == files_below(tmp_path / "out")


async def test_what_is_there_already_is_not_fetched_again(
    client: Client, job: Job, tmp_path: Path
) -> None:
    await client.download(job["id"], tmp_path)
    kept, changed = tmp_path / "a.png-small.webp", tmp_path / "evil-small.webp"
    inode = kept.stat().st_ino
    content = changed.read_bytes()
    changed.write_bytes(content[:-1] + b"!")
    done = await client.download(job["id"], tmp_path)
    assert (done.saved, done.skipped) == (1, 7)
    assert kept.stat().st_ino == inode
    assert changed.read_bytes() == content


async def test_a_folder_that_has_everything_need_not_take_files(
    client: Client, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a medium that is mounted read-only, whose like only some users can make."""
    await client.download(job["id"], tmp_path)
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    assert (await client.download(job["id"], tmp_path)).skipped == 8


async def test_progress_is_told_after_every_file(client: Client, job: Job, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    await client.download(
        job["id"], tmp_path, on_file=lambda done: told.append((done.saved, done.total))
    )
    assert told == [(number, 8) for number in range(1, 9)]


async def test_a_protected_file_is_never_replaced(client: Client, job: Job, tmp_path: Path) -> None:
    original = tmp_path / "trip" / "b-as-is.png"
    original.parent.mkdir()
    original.write_bytes(b"the only copy")
    circle = tmp_path / "a.png-small.webp"
    circle.symlink_to(circle.name)
    with pytest.raises(ClientError, match="replace"):
        await client.download(job["id"], tmp_path, protected=[original])
    assert files_below(tmp_path) == {"trip/b-as-is.png": b"the only copy"}
    assert circle.is_symlink()


async def test_a_place_that_cannot_be_written_is_named_and_nothing_half_is_left(
    client: Client, job: Job, tmp_path: Path
) -> None:
    (tmp_path / "trip").write_bytes(b"a file where a folder must be")
    with pytest.raises(LocalFileError) as caught:
        await client.download(job["id"], tmp_path)
    assert caught.value.path.parent == tmp_path / "trip"
    assert not list(tmp_path.rglob("*.part"))


async def test_nothing_is_saved_through_a_link_in_the_folder(
    client: Client, job: Job, tmp_path: Path
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    for folder in (out, elsewhere):
        folder.mkdir()
    (out / "trip").symlink_to(elsewhere)
    with pytest.raises(LocalFileError, match="A link stands where a folder belongs"):
        await client.download(job["id"], out)
    assert not list(elsewhere.iterdir())


async def test_a_folder_that_is_a_link_itself_is_saved_in(
    client: Client, job: Job, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    await client.download(job["id"], tmp_path / "out")
    assert set(files_below(tmp_path / "elsewhere")) == EXPECTED


async def test_a_link_where_a_result_belongs_is_replaced_whatever_it_leads_to(
    client: Client, job: Job, tmp_path: Path
) -> None:
    await client.download(job["id"], tmp_path)
    file, other = tmp_path / "evil-small.webp", tmp_path / "other"
    content = file.read_bytes()
    file.rename(other)
    file.symlink_to(other)
    done = await client.download(job["id"], tmp_path)
    assert (done.saved, file.is_symlink()) == (1, False)
    assert other.read_bytes() == file.read_bytes() == content


async def test_only_what_is_finished_is_fetched_of_a_job_without_results(
    client: Client, tmp_path: Path
) -> None:
    submitted = await client.submit([BytesUpload(b"no", "a.png")])
    await client.wait(submitted["id"])
    done = await client.download(submitted["id"], tmp_path / "out")
    assert done.total == 0


async def test_an_archive_of_a_job_that_is_not_there_leaves_no_file(
    client: Client, tmp_path: Path
) -> None:
    with pytest.raises(ApiError):
        await client.download_archive("nothing", tmp_path / "all.zip")
    assert files_below(tmp_path) == {}


async def test_a_download_that_is_cancelled_leaves_nothing_half(
    client: Client, job: Job, tmp_path: Path
) -> None:
    def cancel_at_once(_: Downloaded) -> None:
        download.cancel()

    download = asyncio.ensure_future(client.download(job["id"], tmp_path, on_file=cancel_at_once))
    with pytest.raises(asyncio.CancelledError):
        await download
    assert set(files_below(tmp_path)) <= EXPECTED


async def test_a_folder_in_the_place_of_a_result_is_an_error_and_stays(
    client: Client, job: Job, tmp_path: Path
) -> None:
    (tmp_path / "evil-small.webp").mkdir()
    with pytest.raises(LocalFileError, match=r"evil-small\.webp"):
        await client.download(job["id"], tmp_path)
    assert not list(tmp_path.rglob("*.part"))


async def test_what_cannot_stand_where_it_belongs_is_named_and_the_others_are_saved(
    client: Client, job: Job, tmp_path: Path
) -> None:
    (tmp_path / "evil-small.webp").mkdir()
    (tmp_path / "trip").symlink_to("elsewhere")
    in_the_way = {name for name in EXPECTED if name.startswith("trip/")} | {"evil-small.webp"}
    with pytest.raises(ResultsUnsaved) as caught:
        await client.download(job["id"], tmp_path)
    assert set(caught.value.done.unsaved) == in_the_way
    assert caught.value.done.unsaved["evil-small.webp"] == "Is a directory"
    assert set(files_below(tmp_path)) == EXPECTED - in_the_way
    (tmp_path / "trip").unlink()
    (tmp_path / "evil-small.webp").rmdir()
    assert (await client.download(job["id"], tmp_path)).saved == len(in_the_way)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
async def test_what_concerns_the_whole_folder_ends_a_download(
    client: Client, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Places, "writing", refuse)
    with pytest.raises(LocalFileError, match=os.strerror(code)) as caught:
        await client.download(job["id"], tmp_path)
    assert not isinstance(caught.value, ResultsUnsaved)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(content)


@pytest.fixture
def made(server: ServerProcess, job: Job) -> Path:
    """One of the job's files on the server."""
    return next((server.data_dir / "jobs" / job["id"] / "out").iterdir())


@pytest.mark.parametrize("spoil", [damage, Path.unlink])
async def test_a_file_that_is_lost_or_damaged_is_named_and_the_others_are_saved(
    client: Client, job: Job, made: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(made)
    with pytest.raises(ResultsLost, match=r"^1 file is lost") as caught:
        await client.download(job["id"], tmp_path)
    done = caught.value.done
    (lost,) = done.lost
    assert (done.total, done.saved) == (8, 7)
    assert set(files_below(tmp_path)) == EXPECTED - {lost}


async def test_a_file_that_was_damaged_on_its_way_is_fetched_again(
    client: Client, job: Job, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = made.read_bytes()
    damage(made)

    async def fetch_and_mend(*arguments: Any, **options: Any) -> object:
        try:
            return await fetch_to_file(*arguments, **options)
        except ClientError:
            await asyncio.to_thread(made.write_bytes, content)
            raise

    monkeypatch.setattr(module, "fetch_to_file", fetch_and_mend)
    done = await client.download(job["id"], tmp_path)
    assert (done.saved, done.lost) == (8, [])


async def test_files_of_a_job_that_is_deleted_meanwhile_are_not_called_lost(
    client: Client, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch_too_late(*arguments: Any, **options: Any) -> object:
        with suppress(ApiError):
            await client.delete(job["id"])
        return await fetch_to_file(*arguments, **options)

    monkeypatch.setattr(module, "fetch_to_file", fetch_too_late)
    with pytest.raises(ApiError, match="no such job"):
        await client.download(job["id"], tmp_path)


async def test_outputs_of_one_image_are_all_saved_or_it_is_an_error(
    server: ServerProcess, client: Client, job: Job, tmp_path: Path
) -> None:
    for made in (server.data_dir / "jobs" / job["id"] / "out").iterdir():
        made.unlink()
    image = await anext(client.images(job["id"]))
    targets = {output["variant"]: output["variant"] for output in image["outputs"]}
    with pytest.raises(ApiError, match="not there any more"):
        await client.save_outputs(job["id"], image, tmp_path, targets)
