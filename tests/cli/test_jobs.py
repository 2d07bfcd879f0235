from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from imgsvc.client import BytesUpload, Client, Image, Job, ServerUnreachable, SyncClient
from imgsvc.client.answers import ImageProblem
from imgsvc.client.client import PAGE_OF_IMAGES
from imgsvc.files import places
from tests.cli.conftest import Run
from tests.killed_writers import leave_part
from tests.server_process import ServerProcess, server_process

NOBODY = "01936f00-0000-7000-8000-000000000000"


@pytest.fixture
def partial(imgsvc: Run, photos: Path) -> str:
    """The id of a job that has ended; one of its four images failed."""
    (photos / "bad.png").write_bytes(b"no image")
    ran = imgsvc("submit", photos, "--preset=thumbnail", "--label=half\tdone", "--wait")
    return ran.stdout.strip()


def test_status_shows_the_facts_of_a_job(imgsvc: Run, photos: Path) -> None:
    job_id = imgsvc("submit", photos, "--wait", "--label=autumn").stdout.strip()
    ran = imgsvc("status", job_id)
    assert ran.exit_code == 0
    lines = dict(line.split(maxsplit=1) for line in ran.stdout.splitlines())
    assert (lines["Job"], lines["Status"], lines["Label"]) == (job_id, "completed", "autumn")
    assert lines["Progress"] == "3 of 3 images, 100.0 %"


def test_status_of_a_job_with_failures_names_them_and_ends_with_1(
    imgsvc: Run, partial: str
) -> None:
    ran = imgsvc("status", partial)
    assert ran.exit_code == 1
    assert "(1 failed)" in ran.stdout
    assert "bad.png: " in ran.stderr


@pytest.fixture
def waiting(imgsvc: Run, server: ServerProcess) -> Iterator[str]:
    """The id of an open job of three images."""
    with SyncClient(server.url) as client:
        job_id = client.open_job()["id"]
        client.append(job_id, [BytesUpload(b"", f"{number}.png") for number in range(3)])
    yield job_id
    imgsvc("delete", job_id)


def let_wait(monkeypatch: pytest.MonkeyPatch, *messages: str | None) -> list[str | None]:
    """Every job seems to have these last errors of images that wait; gets those that were read."""
    ask_images, ask_job = Client.images, Client.job
    read: list[str | None] = []

    async def images(client: Client, job_id: str, **query: Any) -> AsyncIterator[Image]:
        if query != {"status": "pending"}:
            return
        image = await anext(ask_images(client, job_id))
        for message in messages:
            read.append(message)
            error: ImageProblem = {"code": "fetch_failed", "message": message or ""}
            yield {**image, "error": None, "last_error": error if message else None}

    async def job(client: Client, job_id: str) -> Job:
        counts: Any = {"total": len(messages), "failed": 0, "status": "processing"}
        return {**(await ask_job(client, job_id)), **counts}

    monkeypatch.setattr(Client, "images", images)
    monkeypatch.setattr(Client, "job", job)
    return read


def test_status_says_what_images_wait_for(
    imgsvc: Run, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noon = "The host x is left alone until noon."
    let_wait(monkeypatch, None, noon, "The host took no connection.", noon)
    assert imgsvc("status", waiting).stderr.splitlines() == [
        f"2 images to be tried again: {noon} (fetch_failed)",
        "1 image to be tried again: The host took no connection. (fetch_failed)",
    ]


def test_status_says_that_the_server_waits_for_disk_space(imgsvc: Run, tmp_path: Path) -> None:
    with server_process(tmp_path) as server, SyncClient(server.url) as client:
        job_id = client.open_job()["id"]
        assert imgsvc("status", job_id, "--server", server.url).stderr == ""
    full = ServerProcess(tmp_path, settings={"IMGSVC_STORAGE__RESERVE_BYTES": str(1 << 60)})
    try:
        ran = imgsvc("status", job_id, "--server", full.url)
    finally:
        full.stop()
    assert ran.exit_code == 0
    assert ran.stderr.startswith("The server waits for disk space: ")
    assert ran.stderr.count("\n") == 1


def test_status_does_without_a_server_that_does_not_say_whether_it_is_ready(
    imgsvc: Run, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SyncClient(server.url) as client:
        job_id = client.open_job()["id"]

    async def problems(client: Client) -> list[str]:
        raise ServerUnreachable(client.server, "the connection broke")

    monkeypatch.setattr(Client, "problems", problems)
    ran = imgsvc("status", job_id)
    assert (ran.exit_code, ran.stderr) == (0, "")
    imgsvc("delete", job_id)


def test_a_host_that_is_left_alone_again_is_one_line_that_says_until_when(
    imgsvc: Run, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(host: str, failures: int, until: str) -> str:
        return (
            f"The host {host} failed {failures} times in a row and is left alone until "
            f"2027-01-15T{until}Z."
        )

    last = tell("img1.x", 100, "08:09:30.000")
    other = tell("img2.x", 12, "08:04:00.000")
    let_wait(monkeypatch, tell("img1.x", 99, "08:04:30.000"), last, other, last)
    assert imgsvc("status", waiting).stderr.splitlines() == [
        f"3 images to be tried again: {last} (fetch_failed)",
        f"1 image to be tried again: {other} (fetch_failed)",
    ]


@pytest.mark.parametrize("more", [0, 5])
def test_of_very_many_that_wait_status_looks_at_the_first_and_says_so(
    imgsvc: Run, waiting: str, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    read = let_wait(monkeypatch, *["It took no connection."] * (PAGE_OF_IMAGES + more))
    lines = imgsvc("status", waiting).stderr.splitlines()
    assert len(read) == PAGE_OF_IMAGES
    assert lines[0] == ("1000 images to be tried again: It took no connection. (fetch_failed)")
    assert lines[1:] == (
        ["What they wait for was looked up for the first 1000 images only."] if more else []
    )


def test_of_very_many_that_wait_for_their_turn_alone_nothing_is_said(
    imgsvc: Run, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_wait(monkeypatch, *[None] * (PAGE_OF_IMAGES + 5))
    assert imgsvc("status", waiting).stderr == ""


@pytest.mark.parametrize(
    ("code", "attempts", "may_help"),
    [
        ("worker_crashed", 2, True),
        ("fetch_timeout", 1, True),
        ("fetch_failed", 0, True),  # its host was left alone
        ("fetch_failed", 3, True),
        ("fetch_failed", 1, False),  # a 404, say: others are tried again by themselves
        ("corrupt_image", 1, False),
    ],
)
def test_another_try_is_named_where_it_may_help(
    imgsvc: Run,
    partial: str,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    attempts: int,
    may_help: bool,
) -> None:
    ask = Client.images

    async def fail_otherwise(client: Client, job_id: str, **query: Any) -> AsyncIterator[Image]:
        async for image in ask(client, job_id, **query):
            yield {**image, "error": {"code": code, "message": "No."}, "attempts": attempts}

    monkeypatch.setattr(Client, "images", fail_otherwise)
    assert (f": imgsvc retry {partial}\n" in imgsvc("status", partial).stderr) == may_help


def test_status_can_be_followed_to_the_end(imgsvc: Run, photos: Path) -> None:
    job_id = imgsvc("submit", photos).stdout.strip()
    ran = imgsvc("status", job_id, "--follow", "--json")
    assert (ran.exit_code, ran.document["status"]) == (0, "completed")


@pytest.mark.parametrize("command", [["status"], ["status", "--follow"], ["download", "--out=x"]])
def test_a_job_that_is_not_there_ends_with_2(
    imgsvc: Run, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = imgsvc(*command, NOBODY)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.startswith("Error: ")
    assert not list(tmp_path.iterdir())


def test_list_gives_a_line_for_each_job_that_scripts_can_cut(imgsvc: Run, partial: str) -> None:
    ran = imgsvc("list", "--label=half\tdone", "--limit=1")
    (line,) = ran.stdout.splitlines()
    cells = line.split("\t")
    assert cells[:4] == [partial, "partial", "4/4", "1"]
    assert cells[6] == "halfdone"


def test_list_is_limited_and_chosen_by_status(imgsvc: Run, photos: Path, partial: str) -> None:
    imgsvc("submit", photos / "a.png", "--wait")
    found = imgsvc("list", "--status=partial", "--limit=1", "--json").document
    assert [job["id"] for job in found] == [partial]


def test_download_saves_what_was_made_and_ends_with_1_if_not_all_was(
    imgsvc: Run, partial: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = imgsvc("download", partial, "--out", out, "--json")
    assert first.exit_code == 1
    assert (first.document["saved"], first.document["skipped"]) == (3, 0)
    assert {path.name for path in out.rglob("*.*")} == {"a.webp", "b.webp", "c.webp"}
    again = imgsvc("download", partial, "--out", out, "--json")
    assert (again.document["saved"], again.document["skipped"]) == (0, 3)


@pytest.mark.parametrize("options", [[], ["--zip"]])
def test_what_is_no_folder_takes_no_results(imgsvc: Run, partial: str, options: list[str]) -> None:
    ran = imgsvc("download", partial, "--out", "/dev/full", *options)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == "Error: /dev/full: it is no folder\n"


def test_download_goes_on_without_a_lost_file_names_it_and_ends_with_1(
    server: ServerProcess, imgsvc: Run, photos: Path, tmp_path: Path
) -> None:
    job_id = imgsvc("submit", photos, "--preset=thumbnail", "--wait").stdout.strip()
    next((server.data_dir / "jobs" / job_id / "out").iterdir()).unlink()
    ran = imgsvc("download", job_id, "--out", tmp_path / "out", "--json")
    assert (ran.exit_code, ran.document["saved"]) == (1, 2)
    (lost,) = ran.document["lost"]
    assert f"1 file lost or damaged on the server:\n  {lost}\n" in ran.stderr
    assert not (tmp_path / "out" / lost).exists()
    imgsvc("delete", job_id)  # a backup of this server would miss it


def test_a_result_that_something_stands_in_the_way_of_is_named_and_ends_with_1(
    imgsvc: Run, partial: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "a.webp").mkdir(parents=True)
    ran = imgsvc("download", partial, "--out", out, "--json")
    assert ran.exit_code == 1
    assert ran.document["unsaved"] == {"a.webp": "Is a directory"}
    assert f"1 file cannot be saved:\n  {out}/a.webp: Is a directory\n" in ran.stderr
    assert "bad.png: " in ran.stderr
    assert (out / "b.webp").is_file()


def test_download_can_save_one_zip(imgsvc: Run, partial: str, tmp_path: Path) -> None:
    ran = imgsvc("download", partial, "--out", tmp_path / "out", "--zip", "--json")
    archive = tmp_path / "out" / f"{partial}.zip"
    assert (ran.exit_code, ran.document["path"]) == (1, str(archive))
    with zipfile.ZipFile(archive) as opened:
        assert set(opened.namelist()) == {"a.webp", "b.webp", "trip/c.webp"}


def test_what_a_killed_download_has_left_is_removed_by_a_later_one(
    imgsvc: Run, partial: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    imgsvc("download", partial, "--out", out)
    parts = [leave_part(out, target) for target in ("trip/c.webp", "a.webp")]
    imgsvc("download", partial, "--out", out)
    assert all(part.exists() for part in parts)  # it may still be at it
    monkeypatch.setattr(places, "ABANDONED_S", -60)
    imgsvc("download", partial, "--out", out)
    assert not any(part.exists() for part in parts)
    part = leave_part(out, "all.zip")
    imgsvc("download", partial, "--out", out, "--zip")
    assert not part.exists()


def test_download_to_a_place_that_cannot_be_written_ends_with_2(
    imgsvc: Run, partial: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ran = imgsvc("download", partial, "--out", tmp_path / "file" / "out")
    assert ran.exit_code == 2
    assert str(tmp_path / "file") in ran.stderr
