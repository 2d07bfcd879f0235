"""The journal of a watched folder: what it says survives whatever ends its process."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgsvc.client import JournalBusy, LocalFileError
from imgsvc.client.watching import journal as journals
from imgsvc.client.watching.entries import Entry, Failure, State
from imgsvc.client.watching.journal import WatchJournal
from imgsvc.client.watching.shipping import split_by_name
from imgsvc.files.places import Places
from imgsvc.folders.scan import Sighting

RECIPE = "r"


def seen(name: str, size_bytes: int = 1, mtime_ns: int = 2) -> Sighting:
    return Sighting(name, "/in", size_bytes, mtime_ns, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "watch.jsonl"


@pytest.fixture
def journal(path: Path) -> Iterator[WatchJournal]:
    with WatchJournal(path) as journal:
        yield journal


def send(journal: WatchJournal, batch: str, *names: str) -> None:
    """A batch whose files have all arrived."""
    files = [seen(name) for name in names]
    journal.note_batch(batch, RECIPE, {"preset": "web"}, files, dict.fromkeys(names, "[]"))
    journal.note_job(batch, f"job-{batch}", [(n, name, "ab") for n, name in enumerate(names)])


def again(journal: WatchJournal) -> WatchJournal:
    """The same journal after the end of its process."""
    journal.close()
    return WatchJournal(journal.path)


def test_a_file_is_known_from_before_it_is_sent(path: Path) -> None:
    first = WatchJournal(path)
    first.note_batch("1", RECIPE, {}, [seen("a.png"), seen("caf\udce9.png")], {})
    with again(first) as journal:
        assert journal.is_known(seen("caf\udce9.png"), RECIPE)
        assert not journal.is_known(seen("a.png", mtime_ns=9), RECIPE)
        assert not journal.is_known(seen("a.png"), "another")
        assert journal.batches["1"].job_id is None


def test_what_has_not_arrived_is_unknown_again(journal: WatchJournal) -> None:
    journal.note_batch("1", RECIPE, {}, [seen("a.png"), seen("b.png")], {})
    journal.note_job("1", "job", [(0, "b.png", "ab")])
    assert not journal.is_known(seen("a.png"), RECIPE)
    assert journal.find_left(journal.batches["1"]) == ["b.png"]


def test_what_is_done_failed_or_on_its_way_is_so_after_a_restart(path: Path) -> None:
    first = WatchJournal(path)
    first.begin("/in")
    send(first, "1", "a.png", "b.png", "c.png")
    first.note_done("1", "a.png", [("web", "webp", "a.webp")])
    first.note_failed("1", "b.png", Failure("timeout", "It took too long.", 5))
    for _ in range(2):  # as it was written, and as it is written anew
        first = again(first)
        assert first.folder == "/in"
        assert first.entries["a.png"].files == (("web", "webp", "a.webp"),)
        assert first.failed == {"b.png": Failure("timeout", "It took too long.", 5)}
        (batch,) = first.batches.values()
        assert (batch.job_id, batch.images[2]) == ("job-1", "c.png")
        assert first.find_left(batch) == ["c.png"]
        assert first.entries["c.png"].sha256 == "ab"
    first.close()


def test_an_older_result_says_nothing_of_a_newer_content(journal: WatchJournal) -> None:
    send(journal, "1", "a.png")
    journal.note_batch("2", RECIPE, {}, [seen("a.png", mtime_ns=9)], {"a.png": "[]"})
    journal.note_done("1", "a.png", [])
    assert journal.entries["a.png"].state is State.SENT
    assert journal.find_left(journal.batches["1"]) == []


def test_a_dropped_file_keeps_what_its_results_are_called(journal: WatchJournal) -> None:
    send(journal, "1", "a.png")
    journal.note_failed("1", "a.png", Failure("timeout", "", 5))
    journal.drop("1", ["a.png", "b.png"])
    assert not journal.failed
    assert not journal.is_known(seen("a.png"), RECIPE)
    assert journal.entries["a.png"].choice == "[]"
    journal.forget(["a.png"])
    assert not journal.entries


def test_a_file_that_was_taken_again_is_not_dropped_with_its_older_content(
    journal: WatchJournal,
) -> None:
    send(journal, "1", "a.png")
    send(journal, "2", "a.png")
    journal.drop("1", ["a.png"])
    assert journal.is_left("2", "a.png")
    assert journal.is_known(seen("a.png"), RECIPE)


def test_a_touched_file_is_known_as_it_is_now(journal: WatchJournal) -> None:
    send(journal, "1", "a.png")
    journal.note_touched(seen("a.png", mtime_ns=9))
    assert journal.is_known(seen("a.png", mtime_ns=9), RECIPE)


def test_what_is_over_is_not_kept(path: Path) -> None:
    first = WatchJournal(path)
    for number in range(50):
        send(first, str(number), "a.png")
        first.end_batch(str(number))
    with again(first) as journal:
        assert journal.is_known(seen("a.png"), RECIPE)
        assert not journal.batches
        assert len(path.read_text().splitlines()) == 1


def test_a_torn_line_takes_no_other_with_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = WatchJournal(path)
    send(first, "1", "a.png")
    first.close()
    with path.open("ab") as file:
        file.write(b'{"event": "done", "ba')

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:  # no room for a new one: the old one goes on
        context.setattr(WatchJournal, "_rewrite", refuse)
        second = WatchJournal(path)
    second.note_done("1", "a.png", [])
    with again(second) as journal:
        assert journal.entries["a.png"].state is State.DONE


@pytest.mark.parametrize(
    "line",
    [
        {"event": "done"}, {"event": "ended", "batch": "1", "at": 5}, {"event": ["x"]},
        {"event": "job"}, {"event": "entry", "name": "a.png", "state": "odd"},
        {"event": "sent", "batch": "1", "recipe": "r", "spec": {}, "files": [[1]]},
        {"event": "dropped", "names": ["a.png"]}, {"event": "folder", "folder": "/in"},
    ],
)  # fmt: skip
def test_a_line_of_another_version_is_said(path: Path, line: dict[str, object]) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps(line) + "\n")
    for _ in range(2):  # nor does it stay locked
        with pytest.raises(LocalFileError, match="a line that this version cannot read"):
            WatchJournal(path)


def test_a_line_that_can_be_neither_written_nor_taken_back_takes_no_other_with_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(file: int, data: bytes) -> None:
        os.write(file, data[:20])
        raise OSError(5, "Input/output error")

    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    first = WatchJournal(path)
    with monkeypatch.context() as context:
        context.setattr(journals, "write_all", write_half)
        context.setattr(os, "ftruncate", refuse)
        with pytest.raises(LocalFileError):
            send(first, "1", "a.png")
    send(first, "1", "a.png")
    with again(first) as journal:
        assert list(journal.batches) == ["1"]


def test_a_journal_that_was_written_anew_is_durable_under_its_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    fsync = os.fsync

    def note_and_sync(file: int) -> None:
        synced.append(os.fstat(file).st_ino)
        fsync(file)

    monkeypatch.setattr(os, "fsync", note_and_sync)
    with WatchJournal(path):
        assert synced[-1] == path.parent.stat().st_ino


def test_a_batch_that_can_be_seen_is_whole(
    journal: WatchJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_files: list[int] = []

    def look_and_make(*facts: Any, **more: Any) -> Entry:
        seen_files.extend(len(batch.files) for batch in journal.batches.values())
        return Entry(*facts, **more)

    monkeypatch.setattr(journals, "Entry", look_and_make)
    journal.note_batch("1", RECIPE, {}, [seen("a.png"), seen("b.png")], {})
    assert set(seen_files) <= {2}
    assert len(journal.batches["1"].files) == 2


def test_what_is_left_is_counted_while_more_is_sent(
    journal: WatchJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(journal, "1", "a.png")
    is_left = journal.is_left

    def send_and_look(batch_id: str, name: str) -> bool:
        if "2" not in journal.batches:  # as another thread does
            send(journal, "2", "b.png")
        return is_left(batch_id, name)

    monkeypatch.setattr(journal, "is_left", send_and_look)
    assert journal.count_left() == 1
    assert journal.count_left() == 2


def test_a_note_of_what_has_arrived_is_removed_and_no_other(path: Path) -> None:
    first = WatchJournal(path)
    first.note_batch("under way", RECIPE, {}, [seen("b.png")], {})
    send(first, "arrived", "a.png")
    send(first, "over", "c.png")
    first.end_batch("over")
    names = ("arrived", "over", "under way", "another journal's")
    for name in names:  # the process ends before it removes them
        (first.sending / f"{name}.jsonl").touch()
    with again(first) as journal:
        left = {note.stem for note in journal.sending.iterdir()}
        assert left == {"under way", "another journal's"}


def test_a_full_disk_changes_nothing(
    journal: WatchJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(file: int, data: bytes) -> None:
        os.write(file, data[:10])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(journals, "write_all", write_half)
        with pytest.raises(LocalFileError, match="No space"):
            send(journal, "1", "a.png")
    assert not journal.entries
    assert journal.path.read_bytes() == b""


def test_one_process_at_a_time_has_it(journal: WatchJournal, path: Path) -> None:
    with pytest.raises(JournalBusy):
        WatchJournal(path)


def test_files_that_a_job_would_call_the_same_go_apart() -> None:
    files = [seen(name) for name in ("a\udce9.png", "b.png", "a\udcff.png", "\x01", "\x02")]
    assert [[one.name for one in group] for group in split_by_name(files)] == [
        ["a\udce9.png", "b.png", "\x01"],
        ["a\udcff.png", "\x02"],
    ]


def test_where_there_is_no_space_for_a_new_one_that_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Places, "write", refuse)
        with pytest.raises(LocalFileError, match="No space left"):
            WatchJournal(path)
    WatchJournal(path).close()
