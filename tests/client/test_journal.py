"""What a submission writes down to go on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsvc.client import Journal, JournalBusy, LocalFileError


def test_a_journal_is_open_once(journal: Journal, journal_path: Path) -> None:
    with pytest.raises(JournalBusy):
        Journal.open(journal_path)
    assert journal.key


def test_a_torn_line_takes_no_other_with_it(journal_path: Path) -> None:
    with Journal.open(journal_path) as first:
        first.note_job("some-job")
    journal_path.write_bytes(journal_path.read_bytes()[:-3])
    with Journal.open(journal_path) as second:
        assert (second.key, second.job_id) == (first.key, None)
        second.note_job("other-job")
    with Journal.open(journal_path) as third:
        assert (third.key, third.job_id) == (first.key, "other-job")


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"[1]\n", b'{"key": ""}\n'])
def test_a_journal_that_says_nothing_is_a_new_one(journal_path: Path, content: bytes) -> None:
    journal_path.write_bytes(content)
    with Journal.open(journal_path) as journal:
        assert journal.key
        assert journal.begun_at > 0


def test_a_journal_that_is_forgotten_leaves_nothing(journal_path: Path) -> None:
    with Journal.open(journal_path) as journal:
        journal.forget()
    assert not journal_path.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalFileError):
        Journal.open(tmp_path / "file" / "journal.jsonl")
