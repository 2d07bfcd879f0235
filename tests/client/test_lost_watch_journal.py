"""A journal that is lost with its folder, and put back into a new one."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from imgsvc.client import JournalBusy, LocalFileError
from imgsvc.client.watching.entries import State
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.folders.scan import Sighting

SEEN = Sighting("a.png", "/in", 1, 2, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / ".imgsvc" / "watch.jsonl"


@pytest.fixture
def journal(path: Path) -> Iterator[WatchJournal]:
    """It knows of one file, which is done."""
    with WatchJournal(path) as journal:
        journal.begin("/in")
        journal.note_batch("1", "r", {}, [SEEN], {"a.png": "[]"})
        journal.note_job("1", "job", [(4, "a.png", "ab")])
        journal.note_done("1", "a.png", [("v", "webp", "a.webp")])
        yield journal


def again(path: Path) -> WatchJournal:
    """As a process finds it that comes after a kill."""
    copy = path.parent.with_name(f"copy-{os.urandom(4).hex()}")
    shutil.copytree(path.parent, copy)
    return WatchJournal(copy / path.name)


def make_anew(path: Path) -> None:
    shutil.rmtree(path.parent.parent)
    path.parent.parent.mkdir()


def test_what_it_knew_is_kept_and_what_is_missing_is_remembered(
    journal: WatchJournal, path: Path
) -> None:
    make_anew(path)
    assert not journal.is_in_place()
    journal.write_anew()
    assert journal.is_in_place()
    journal.note_touched(SEEN._replace(mtime_ns=9))
    with again(path) as second:
        entry = second.entries["a.png"]
        assert (second.loss, entry.state) == (journal.loss, State.DONE)
        assert (entry.job_id, entry.index, entry.fingerprint) == ("job", 4, (1, 9, 3))
        second.note_restored([("1", "a.png")], second.loss)
        with again(second.path) as third:
            assert (third.loss, third.entries["a.png"].sha256) == (None, None)
            assert third.is_known(SEEN._replace(mtime_ns=9), "r")


def test_what_is_brought_back_of_one_loss_ends_no_later_one(
    journal: WatchJournal, path: Path
) -> None:
    losses = []
    for _ in range(2):
        make_anew(path)
        journal.write_anew()
        losses.append(journal.loss)
    journal.note_restored([], losses[0])
    assert journal.loss == losses[1]
    journal.note_restored([], losses[1])
    assert journal.loss is None


def test_what_was_taken_again_is_not_lost(journal: WatchJournal) -> None:
    journal.note_batch("2", "r", {}, [SEEN], {"a.png": "[]"})
    journal.note_job("2", "other", [(0, "a.png", "cd")])
    journal.note_restored([("1", "a.png")], None)
    assert (journal.entries["a.png"].sha256, len(journal.entries["a.png"].files)) == ("cd", 1)


def test_one_that_is_closed_is_written_no_more(journal: WatchJournal, path: Path) -> None:
    """By a thread that comes late: its file's number may be another file's by then."""
    journal.close()
    with (path.parent / "another").open("xb") as other:
        with pytest.raises(LocalFileError):
            journal.drop("1", ["a.png"])
        make_anew(path)
        journal.write_anew()
        assert (path.exists(), os.fstat(other.fileno()).st_size) == (False, 0)


def test_the_file_alone_may_be_lost(journal: WatchJournal, path: Path) -> None:
    path.unlink()
    journal.write_anew()
    assert '"a.png"' in path.read_text()
    with pytest.raises(JournalBusy):
        WatchJournal(path)


def test_where_another_watch_has_the_folder_nothing_changes(
    journal: WatchJournal, path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / ".imgsvc" / "watch.jsonl"
    with WatchJournal(other) as others:
        others.begin("/elsewhere")
        shutil.rmtree(path.parent.parent)
        (tmp_path / "other").rename(path.parent.parent)
        before = path.read_bytes()
        with pytest.raises(JournalBusy):
            journal.write_anew()
    with pytest.raises(LocalFileError, match="another watch has it"):
        journal.write_anew()
    assert path.read_bytes() == before
    assert not journal.stands_there()


def test_an_older_state_of_it_is_brought_up_to_date(journal: WatchJournal, path: Path) -> None:
    copy = path.parent.with_name("copy")
    shutil.copytree(path.parent, copy)
    journal.drop("1", ["a.png"])
    shutil.rmtree(path.parent)
    copy.rename(path.parent)
    assert journal.stands_there()
    journal.write_anew()
    assert '"fingerprint": null' in path.read_text()


def test_a_folder_that_is_not_there_is_not_made(journal: WatchJournal, path: Path) -> None:
    shutil.rmtree(path.parent.parent)
    with pytest.raises(LocalFileError):
        journal.write_anew()
    assert not path.parent.parent.exists()


def test_who_looks_while_it_is_put_back_sees_no_closed_file(
    journal: WatchJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = os.close
    looks: list[Future[bool]] = []
    make_anew(path)
    with ThreadPoolExecutor() as pool, monkeypatch.context() as patch:

        def close_and_look(file: int) -> None:
            is_folder = stat.S_ISDIR(os.fstat(file).st_mode)
            close(file)
            if is_folder:
                return
            looks.append(pool.submit(journal.is_in_place))
            wait(looks, timeout=0.1)  # whoever waits for its turn has it later

        patch.setattr(os, "close", close_and_look)
        journal.write_anew()
    assert {look.result() for look in looks} == {True}


def test_one_that_cannot_be_put_back_has_lost_nothing_yet(
    journal: WatchJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old folder may come back with all that stands in it."""
    make_anew(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(LocalFileError, match="Stale"):
            journal.write_anew()
    assert (journal.loss, journal.losses) == (None, 0)
    journal.write_anew()
    assert (journal.loss is None, journal.losses) == (False, 1)


def refuse(*_given: object, **_named: object) -> Any:
    raise OSError(errno.ESTALE, "Stale file handle")


def test_a_file_that_a_network_share_has_lost_is_not_in_place(
    journal: WatchJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", refuse)
        assert not journal.is_in_place()
    assert journal.is_in_place()


def test_what_cannot_be_written_into_a_lost_file_can_be_said_again_later(
    journal: WatchJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "lseek", refuse)
        with pytest.raises(LocalFileError, match="Stale"):
            journal.drop("1", ["a.png"])
    assert journal.is_known(SEEN, "r")
    journal.drop("1", ["a.png"])
    with again(path) as second:
        assert not second.is_known(SEEN, "r")


def test_a_lost_file_that_complains_of_its_end_stands_in_no_new_ones_way(
    journal: WatchJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, olds = os.close, {journal._file, journal._lock}
    make_anew(path)

    def close_and_complain(file: int) -> None:
        close(file)
        if file in olds:
            olds.remove(file)
            refuse()

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", close_and_complain)
        journal.write_anew()
    assert not olds
    assert journal.is_in_place()


@pytest.mark.parametrize("call", ["fstat", "pread"])
def test_tries_that_fail_leave_no_file_open(
    journal: WatchJournal, path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    make_anew(path)
    before = list(Path("/proc/self/fd").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(LocalFileError, match="Stale"):
            journal.write_anew()
    assert list(Path("/proc/self/fd").iterdir()) == before
    journal.write_anew()
