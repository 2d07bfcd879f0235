"""Submissions that break off and go on: everything arrives, and nothing twice."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from io import BufferedReader
from pathlib import Path
from typing import Any

import pytest

from imgsvc.client import (
    ApiError,
    BytesUpload,
    Client,
    FilesUnreadable,
    FileUpload,
    Journal,
    LocalFileError,
    ServerUnreachable,
    UrlUpload,
)
from imgsvc.client import sending as module
from imgsvc.client.connection import Connection
from tests.client.pictures import picture
from tests.rights import let_others_in, without_rights

COUNT = 20


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUP_IMAGES", 3)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files of different bytes, all older than any journal."""
    paths = []
    for number in range(COUNT):
        path = tmp_path / f"{number:02}.png"
        path.write_bytes(picture((number, 0, 0)))
        os.utime(path, (1_000_000_000, 1_000_000_000))
        paths.append(path)
    return paths


async def names_of(client: Client, job_id: str) -> Counter[str]:
    return Counter([image["name"] async for image in client.images(job_id)])


async def break_off(client: Client, files: list[Path], journal: Journal, share: float) -> str:
    """Submit until so much of it has been sent; the id of the job."""
    total_bytes = sum(path.stat().st_size for path in files)

    def check(sent_bytes: int) -> None:
        if sent_bytes > share * total_bytes:
            sending.cancel()

    sending = asyncio.create_task(client.submit(files, journal=journal, on_sent=check))
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert journal.job_id is not None
    return journal.job_id


async def test_a_job_of_many_groups_has_every_image_once_and_is_closed(
    client: Client, files: list[Path], journal: Journal
) -> None:
    job = await client.submit(files, journal=journal, label="autumn")
    assert (job["total"], job["open"], job["label"]) == (COUNT, False, "autumn")
    assert await names_of(client, job["id"]) == Counter(path.name for path in files)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
async def test_what_broke_off_goes_on_where_it_stopped(
    client: Client, files: list[Path], journal: Journal, share: float
) -> None:
    job_id = await break_off(client, files, journal, share)
    told: list[int] = []
    job = await client.submit(files, journal=journal, on_sent=told.append)
    assert (job["id"], job["total"], job["open"]) == (job_id, COUNT, False)
    assert await names_of(client, job_id) == Counter(path.name for path in files)
    assert max(told) == sum(path.stat().st_size for path in files)


async def test_it_goes_on_in_another_process_that_has_only_the_journal(
    client: Client, files: list[Path], journal_path: Path
) -> None:
    with await asyncio.to_thread(Journal.open, journal_path) as first:
        job_id = await break_off(client, files, first, 0.5)
    with await asyncio.to_thread(Journal.open, journal_path) as second:
        assert second.key == first.key
        assert (await client.submit(files, journal=second))["id"] == job_id
    assert (await names_of(client, job_id)).total() == COUNT


async def test_a_group_whose_answer_was_lost_is_not_taken_twice(
    client: Client, files: list[Path], journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = Connection.upload
    lost: list[Any] = []

    async def lose_answer(self: Connection, *parts: Any, **options: Any) -> Any:
        answer = await upload(self, *parts, **options)
        if len(lost) < 4:
            lost.append(answer)
            raise ServerUnreachable(self.server, "the connection broke")
        return answer

    monkeypatch.setattr(Connection, "upload", lose_answer)
    job = await client.submit(files, journal=journal)
    assert len(lost) == 4
    assert job["total"] == COUNT


async def test_new_files_are_sent_too_when_it_goes_on(
    client: Client, files: list[Path], journal: Journal
) -> None:
    job_id = await break_off(client, files[5:], journal, 0.5)
    job = await client.submit(files, journal=journal)
    assert (job["id"], job["total"]) == (job_id, COUNT)


async def break_off_unheard(client: Client, files: list[Path], journal: Journal) -> str:
    """Submit until the server has taken a group and the answer did not arrive; the job's id."""
    upload = Connection.upload

    async def never_return(self: Connection, *parts: Any, **options: Any) -> Any:
        await upload(self, *parts, **options)
        raise ZeroDivisionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "upload", never_return)
        with pytest.raises(ZeroDivisionError):
            await client.submit(files, journal=journal)
    assert journal.job_id is not None
    return journal.job_id


async def test_what_arrives_after_the_list_was_read_is_not_taken_twice(
    client: Client, files: list[Path], journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await break_off_unheard(client, files[5:], journal)
    monkeypatch.setattr(module, "_find_missing", lambda parcels, _images, _begun: list(parcels))
    job = await client.submit(files, journal=journal)
    assert (job["id"], job["total"]) == (job_id, COUNT)


async def test_nor_when_some_of_it_was_removed_here_meanwhile(
    client: Client, files: list[Path], journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await break_off_unheard(client, files, journal)
    arrived = await names_of(client, job_id)
    removed = next(path for path in files if path.name in arrived)
    find_missing = module._find_missing
    stale = [list]

    def find_missing_late(parcels: list[Any], *facts: Any) -> list[Any]:
        return stale.pop()(parcels) if stale else find_missing(parcels, *facts)

    monkeypatch.setattr(module, "_find_missing", find_missing_late)
    left = [path for path in files if path != removed]
    job = await client.submit(left, journal=journal)
    assert await names_of(client, job["id"]) == Counter(path.name for path in files)


async def test_a_file_changed_meanwhile_is_sent_as_it_is_now(
    client: Client, files: list[Path], journal: Journal
) -> None:
    job_id = await break_off(client, files, journal, 0.9)
    arrived = await names_of(client, job_id)
    changed = next(path for path in files if path.name in arrived)
    kept = next(path for path in files if path.name in arrived and path != changed)
    data = bytearray(changed.read_bytes())
    data[-1] ^= 1
    changed.write_bytes(data)
    kept.write_bytes(kept.read_bytes())
    names = await names_of(client, (await client.submit(files, journal=journal))["id"])
    assert (names[changed.name], names[kept.name]) == (2, 1)


async def test_images_of_equal_names_are_told_apart_by_their_bytes(
    client: Client, journal: Journal
) -> None:
    uploads = [BytesUpload(picture((n, 9, 9)), "same.png") for n in range(6)]
    await client.submit(uploads[:4], journal=journal)
    await asyncio.to_thread(journal.begin_anew)
    job = await client.submit(uploads, journal=journal)
    shas = [image["input"]["sha256"] async for image in client.images(job["id"])]
    assert len(set(shas)) == len(shas) == 6


@pytest.mark.parametrize(
    "name", ['say "cheese".png', "Käse 写真.png", "100%25.png", "a\tb\\c.png", "x" * 300, "a\udcff"]
)
async def test_an_image_is_known_again_whatever_it_is_called(
    client: Client, journal: Journal, name: str
) -> None:
    uploads = [BytesUpload(picture(), name)]
    job = await client.submit(uploads, journal=journal)
    again = await client.submit(uploads, journal=journal)
    assert (again["id"], again["total"]) == (job["id"], 1)


async def test_a_job_that_has_everything_is_the_answer_even_if_it_is_done(
    client: Client, files: list[Path], journal: Journal
) -> None:
    job = await client.submit(files, journal=journal)
    await client.wait(job["id"])
    assert (await client.submit(files, journal=journal))["id"] == job["id"]


@pytest.mark.parametrize("end", ["cancel", "delete"])
async def test_a_job_that_is_gone_or_cancelled_is_begun_anew(
    client: Client, files: list[Path], journal: Journal, end: str
) -> None:
    job_id = await break_off(client, files, journal, 0.3)
    await getattr(client, end)(job_id)
    job = await client.submit(files, journal=journal)
    assert job["id"] != job_id
    assert job["total"] == COUNT


async def test_a_file_that_cannot_be_read_any_more_leaves_the_rest_to_go_on_with(
    client: Client, files: list[Path], journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = files[-1].read_bytes()
    begin = module.Sending._begin

    async def begin_and_take_away(self: module.Sending, submit: Any) -> Any:
        job = await begin(self, submit)
        await asyncio.to_thread(files[-1].unlink)
        return job

    monkeypatch.setattr(module.Sending, "_begin", begin_and_take_away)
    with pytest.raises(LocalFileError) as caught:
        await client.submit(files, journal=journal)
    assert caught.value.path == files[-1]
    job_id = journal.job_id
    files[-1].write_bytes(kept)
    job = await client.submit(files, journal=journal)
    assert (job["id"], job["total"]) == (job_id, COUNT)


@pytest.mark.parametrize("urls", [[], [UrlUpload("http://127.0.0.1:9/a.jpg")]])
async def test_no_job_is_begun_where_a_file_cannot_be_read(
    client: Client, files: list[Path], journal: Journal, urls: list[UrlUpload]
) -> None:
    files[-1].unlink()
    files[-1].mkdir()  # which nobody can read
    label = str(files[-1])
    with pytest.raises(LocalFileError) as caught:
        await client.submit(files, urls=urls, label=label, journal=journal)
    assert caught.value.path == files[-1]
    assert [job async for job in client.jobs(label=label)] == []
    assert journal.job_id is None


def test_names_of_files_that_cannot_be_read_make_no_lines(tmp_path: Path) -> None:
    uploads = [FileUpload(tmp_path / f"{number}\x1b[31m\n.png", "a") for number in range(2)]
    with pytest.raises(FilesUnreadable) as caught:
        module.check_readable(uploads)
    assert caught.value.path == uploads[0].path
    first, *told = str(caught.value).splitlines()
    assert first == "2 files cannot be read:"
    assert [line.rpartition("/")[2] for line in told] == [
        f"{number}[31m.png: No such file or directory" for number in range(2)
    ]


def test_a_file_whose_folder_was_closed_meanwhile_is_one_that_cannot_be_read(
    tmp_path: Path,
) -> None:
    let_others_in(tmp_path)
    file = tmp_path / "closed" / "a.png"
    file.parent.mkdir()
    file.write_bytes(picture())
    parcels = module.make_parcels([file])
    file.parent.chmod(0)
    with without_rights(), pytest.raises(LocalFileError):
        module.check_readable([p.upload for p in parcels])
    file.parent.chmod(0o700)


async def test_a_file_that_is_opened_in_a_way_of_its_own_is_opened_for_its_facts_and_to_be_sent(
    client: Client, tmp_path: Path, journal: Journal
) -> None:
    file, opened = tmp_path / "a.png", 0
    file.write_bytes(picture())

    def open_it() -> BufferedReader:
        nonlocal opened
        opened += 1
        return file.open("rb")

    await client.submit([FileUpload(file, "a.png", open_it)], journal=journal)
    assert opened == 2


async def test_a_pipe_is_opened_once(client: Client, tmp_path: Path, journal: Journal) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    writing = asyncio.create_task(asyncio.to_thread(pipe.write_bytes, picture()))
    job = await client.submit([pipe], journal=journal)
    await writing
    (image,) = [image async for image in client.images(job["id"])]
    assert image["input"]["size_bytes"] == len(picture())


async def test_what_goes_wrong_in_the_caller_ends_it_at_once(
    client: Client, files: list[Path], journal: Journal
) -> None:
    def fail(_sent_bytes: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await client.submit(files, journal=journal, on_sent=fail)
    with pytest.raises(ZeroDivisionError):
        await client.submit(files, on_sent=fail)


async def test_what_the_server_refuses_is_told_at_once(client: Client, journal: Journal) -> None:
    with pytest.raises(ApiError) as caught:
        await client.submit([BytesUpload(picture(), "a.png")], preset="nonsense", journal=journal)
    assert caught.value.code == "invalid_request"
    assert journal.job_id is None


async def test_nobody_there_is_told_at_once(unused_tcp_port: int, journal: Journal) -> None:
    async with Client(f"http://127.0.0.1:{unused_tcp_port}") as client:
        with pytest.raises(ServerUnreachable):
            await client.submit([BytesUpload(picture(), "a.png")], journal=journal)


async def test_folders_are_part_of_the_name(
    client: Client, tmp_path: Path, journal: Journal
) -> None:
    (tmp_path / "a.png").write_bytes(picture())
    job = await client.submit([FileUpload(tmp_path / "a.png", "trip/a.png")], journal=journal)
    assert await names_of(client, job["id"]) == {"trip/a.png": 1}


def equal_in_name_and_size(folder: Path, count: int) -> list[Path]:
    """Files that only their bytes tell apart, as of one camera in several folders."""
    paths = []
    for number in range(count):
        path = folder / f"{number:02}" / "DSC1.png"
        path.parent.mkdir()
        path.write_bytes(picture() + bytes([number]))
        os.utime(path, (1_000_000_000, 1_000_000_000))
        paths.append(path)
    return paths


async def digests_of(client: Client, job_id: str) -> Counter[str]:
    return Counter([image["input"]["sha256"] async for image in client.images(job_id)])


async def test_groups_of_equal_names_and_sizes_are_all_taken(
    client: Client, tmp_path: Path, journal: Journal
) -> None:
    paths = equal_in_name_and_size(tmp_path, 12)
    job = await client.submit(paths, journal=journal)
    assert job["total"] == 12
    assert set((await digests_of(client, job["id"])).values()) == {1}


async def test_what_is_missing_among_equal_names_and_sizes_is_told_by_the_bytes(
    client: Client, tmp_path: Path, journal: Journal
) -> None:
    paths = equal_in_name_and_size(tmp_path, 6)
    job = await client.open_job()
    await asyncio.to_thread(journal.note_job, job["id"])
    await client.append(job["id"], paths[3:5])
    job = await client.submit(paths, journal=journal)
    assert job["total"] == 6
    assert set((await digests_of(client, job["id"])).values()) == {1}


async def test_an_image_that_was_refused_on_its_way_in_has_arrived(
    client: Client, journal: Journal
) -> None:
    uploads = [BytesUpload(b"", "empty.png"), BytesUpload(picture(), "a.png")]
    job = await client.submit(uploads, journal=journal)
    again = await client.submit(uploads, journal=journal)
    assert (again["id"], again["total"]) == (job["id"], 2)


async def test_more_images_than_a_job_takes_are_refused_before_any_is_sent(
    client: Client, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = await client.info()
    limit = info["limits"]["max_images_per_job"]
    image = BytesUpload(picture(), "a.png")
    with pytest.raises(ApiError) as caught:
        await client.submit([image] * (limit + 1), journal=journal)
    assert (caught.value.code, journal.job_id) == ("too_many_images", None)


async def test_files_that_share_name_and_size_are_all_sent_when_it_goes_on(
    client: Client, tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing one may take the key of a group in which its double has arrived."""
    monkeypatch.setattr(module, "CONNECTIONS", 1)
    paths = equal_in_name_and_size(tmp_path, 6)
    upload = Connection.upload
    calls = []

    async def fail_second(self: Connection, *parts: Any, **options: Any) -> Any:
        calls.append(parts)
        if len(calls) == 2:
            raise ZeroDivisionError
        return await upload(self, *parts, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "upload", fail_second)
        with pytest.raises(ZeroDivisionError):
            await client.submit(paths, journal=journal)
    job = await client.submit(paths, journal=journal)
    assert job["total"] == 6
    assert set((await digests_of(client, job["id"])).values()) == {1}
