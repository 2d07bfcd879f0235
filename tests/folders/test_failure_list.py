from __future__ import annotations

from pathlib import Path

import pytest

from imgsvc.folders.failure_list import ListedFailure, write_failures

FAILURE = ListedFailure("a.jpg", "corrupt_image", "It is broken.", 0)


@pytest.fixture
def list_(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "failures.csv"


def test_the_list_follows_the_failures_and_is_gone_without_any(list_: Path) -> None:
    assert write_failures(list_.parent, [FAILURE])
    assert list_.read_text().splitlines()[1].startswith("a.jpg,corrupt_image,")
    written = list_.stat().st_ino
    assert write_failures(list_.parent, [FAILURE])
    assert list_.stat().st_ino == written
    assert write_failures(list_.parent, [FAILURE, FAILURE])
    assert len(list_.read_text().splitlines()) == 3
    assert write_failures(list_.parent, [])
    assert list(list_.parent.iterdir()) == []


@pytest.mark.parametrize("content", ["my own list", "", "name;code;message;time"])
def test_somebodys_own_file_of_that_name_is_left_alone(list_: Path, content: str) -> None:
    list_.write_text(content)
    assert write_failures(list_.parent, [])
    assert not write_failures(list_.parent, [FAILURE])
    assert list_.read_text() == content


def test_a_link_or_a_folder_of_that_name_is_left_alone(list_: Path, tmp_path: Path) -> None:
    write_failures(tmp_path, [FAILURE])
    list_.symlink_to(tmp_path / "failures.csv")
    assert not write_failures(list_.parent, [FAILURE, FAILURE])
    assert list_.is_symlink()
    assert len((tmp_path / "failures.csv").read_text().splitlines()) == 2
    list_.unlink()
    list_.mkdir()
    assert not write_failures(list_.parent, [FAILURE])


def test_a_link_beside_it_leads_nowhere(list_: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (list_.parent / ".failures.csv.part").symlink_to(tmp_path / "precious")
    assert write_failures(list_.parent, [FAILURE])
    assert (tmp_path / "precious").read_text() == "precious"
