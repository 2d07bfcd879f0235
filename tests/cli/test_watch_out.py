"""The out folder of `imgsvc watch`, and what becomes of it under way."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from imgsvc.cli.watch import _open_journal, _Wish
from imgsvc.client import LocalFileError, SyncClient
from imgsvc.client.errors import translating
from imgsvc.client.watching.disk import Disk
from imgsvc.client.watching.journal import WatchJournal
from tests.cli.conftest import Run, Start
from tests.client.pictures import picture
from tests.server_process import ServerProcess
from tests.watch_process import (
    NO_IMAGE,
    contents_of,
    failures_in,
    put,
    read_if_there,
    results_in,
    sent_images,
)


def test_an_out_folder_that_is_gone_is_waited_for(
    start_watch: Start, photos: Path, out: Path
) -> None:
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    watching.wait_for("a.png", "b.jpg", "trip/c.png")
    away = out.rename(out.with_name("away"))
    put(photos / "d.png", picture("red"), is_old=False)
    watching.wait_for_words("it is gone")
    assert not out.exists()
    away.rename(out)
    watching.wait_for_words("can be written again")
    watching.wait_for("d.png")
    assert "d.webp" in results_in(out)


def test_in_an_out_folder_that_was_made_anew_everything_stands_again(
    server: ServerProcess, start_watch: Start, photos: Path, out: Path
) -> None:
    put(photos / "bad.png", NO_IMAGE)
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    watching.wait_for("a.png", "b.jpg", "trip/c.png")
    watching.wait_for("bad.png", status="failed")
    expected = {"a.webp", "b.webp", "trip/c.webp", "failures.csv"}
    out.rename(out.with_name("removed"))  # at once: it is written to
    out.mkdir()
    (out / "mine.txt").touch()
    watching.wait(lambda: "results were saved again: 3" in watching.said)
    put(photos / "d.png", picture("red"), is_old=False)
    watching.wait_for("d.png")
    watching.stop()
    assert results_in(out) == expected | {"d.webp", "mine.txt"}
    again = start_watch(photos, "--out", out, "--preset=thumbnail")
    put(photos / "e.png", picture("red"), is_old=False)
    again.wait_for("e.png")
    assert again.names() == ["e.png"]
    assert len(sent_images(server, photos)) == 6


def test_results_that_the_server_has_no_more_are_made_again_when_touched(
    server: ServerProcess, start_watch: Start, photos: Path, out: Path
) -> None:
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    watching.wait_for("a.png", "b.jpg", "trip/c.png")
    with SyncClient(server.url) as client:
        (job,) = client.jobs(label=photos.name)
        client.delete(job["id"])
    out.rename(out.with_name("removed"))
    watching.wait_for_words("put it back, or make it anew")
    out.mkdir()
    watching.wait_for_words("results the server has no more: 3")
    watching.forget()
    (photos / "a.png").touch()
    watching.wait_for("a.png")
    assert results_in(out) == {"a.webp"}
    assert sent_images(server, photos) == contents_of(photos, "a.png")


def test_an_out_folder_that_another_watch_has_is_left_alone(
    start_watch: Start, photos: Path, out: Path
) -> None:
    other = photos.with_name(f"other-{photos.name}")
    shutil.copytree(photos / "trip", other)
    watching = start_watch(other, "--out", out, "--preset=thumbnail")
    watching.wait_for("c.png")
    watching.stop()
    theirs = out.rename(out.with_name("theirs"))
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    watching.wait_for("a.png", "b.jpg", "trip/c.png")
    before = read_if_there(theirs / ".imgsvc" / "watch.jsonl")
    out.rename(out.with_name("removed"))
    theirs.rename(out)
    watching.wait_for_words("another watch has it")
    assert read_if_there(out / ".imgsvc" / "watch.jsonl") == before
    assert results_in(out) == {"c.webp"}


def test_a_folder_on_another_disk_is_not_the_out_folder(
    start_watch: Start, photos: Path, out: Path, tmp_path: Path
) -> None:
    """As an unmounted share leaves one behind."""
    here = tmp_path / "here"
    here.mkdir()
    out.symlink_to(here)
    with other_disk(tmp_path) as there:
        watching = start_watch(photos, "--out", out, "--preset=thumbnail")
        watching.wait_for("a.png", "b.jpg", "trip/c.png")
        out.unlink()
        out.symlink_to(there)
        watching.wait_for_words("what was mounted there is gone")
        assert not list(there.iterdir())
        shutil.copytree(here, there, dirs_exist_ok=True)  # as when it is mounted anew
        watching.wait_for_words("can be written again")
        put(photos / "d.png", picture("red"), is_old=False)
        watching.wait_for("d.png")
        assert "d.png" in read_if_there(there / ".imgsvc" / "watch.jsonl")
        assert results_in(there) - results_in(here) == {"d.webp"}


@contextmanager
def other_disk(folder: Path) -> Iterator[Path]:
    """A folder on another file system, where this machine has one."""
    shared = Path("/dev/shm")  # noqa: S108 - for a folder that nobody else knows
    if not os.access(shared, os.W_OK) or shared.stat().st_dev == folder.stat().st_dev:
        pytest.skip("there is no other file system")
    with TemporaryDirectory(dir=shared) as path:
        yield Path(path)


def test_one_result_that_cannot_be_saved_holds_up_no_other(
    start_watch: Start, photos: Path, out: Path
) -> None:
    (out / "a.webp" / "in the way").mkdir(parents=True)
    watching = start_watch(photos, "--out", out, "--preset=thumbnail")
    watching.wait_for("b.jpg", "trip/c.png")
    watching.wait_for("a.png", status="failed")
    watching.stop()
    assert [row[:2] for row in failures_in(out)] == [["a.png", "not_saved"]]


def test_an_out_folder_belongs_to_one_folder(
    imgsvc: Run, start_watch: Start, photos: Path, out: Path, tmp_path: Path
) -> None:
    watching = start_watch(photos, "--out", out)
    watching.wait_for("a.png")
    other = tmp_path / "other"
    shutil.copytree(photos, other)
    ran = imgsvc("watch", other, "--out", out)
    assert ran.exit_code == 2
    assert "another --out" in ran.stderr
    watching.stop()
    ran = imgsvc("watch", other, "--out", out)
    assert ran.exit_code == 2
    assert str(photos) in ran.stderr.replace("\n", "")


async def test_an_out_folder_that_is_full_at_the_start_is_waited_for(
    photos: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, troubles = WatchJournal.begin, list[LocalFileError]()

    def begin_once_there_is_space(journal: WatchJournal, folder: str) -> None:
        if not troubles:
            with translating(journal.path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        begin(journal, folder)

    monkeypatch.setattr(WatchJournal, "begin", begin_once_there_is_space)
    disk = Disk(troubles.append, lambda: None, pause_s=0)
    wish = _Wish(photos, out, "thumbnail", None, None, None)
    opening = partial(_open_journal, wish, out / ".imgsvc" / "watch.jsonl")
    journal = await disk.insist(opening, whatever=False)
    assert (journal.folder, len(troubles)) == (str(photos), 1)
    await asyncio.to_thread(journal.close)
    (photos.parent / "file").touch()
    opening = partial(_open_journal, wish, photos.parent / "file" / "watch.jsonl")
    with pytest.raises(LocalFileError):
        await disk.insist(opening, whatever=False)


def test_a_journal_that_cannot_be_read_is_not_waited_for(
    imgsvc: Run, photos: Path, out: Path
) -> None:
    put(out / ".imgsvc" / "watch.jsonl", b'{"event": "folder"}\n')
    ran = imgsvc("watch", photos, "--out", out)
    assert ran.exit_code == 2
    assert "this version cannot read" in ran.stderr
