from __future__ import annotations

import hashlib
import os
from functools import partial
from pathlib import Path

import pytest

from imgsvc.folders.scan import FileChanged, Folder, Sighting
from imgsvc.folders.steady import hash_file, open_steady

CONTENT = b"half of one content" * 1000


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "a.jpg").write_bytes(CONTENT)
    return Folder(tmp_path)


@pytest.fixture
def seen(folder: Folder) -> Sighting:
    (sighting,) = folder.scan()
    return sighting


def test_a_file_that_holds_still_is_read_to_its_end(folder: Folder, seen: Sighting) -> None:
    with open_steady(folder, seen) as file:
        assert file.read() == CONTENT
    assert hash_file(folder, seen) == hashlib.sha256(CONTENT).hexdigest()


def test_a_file_that_changes_while_it_is_read_has_changed(folder: Folder, seen: Sighting) -> None:
    with open_steady(folder, seen) as file:
        assert file.read(10) == CONTENT[:10]
        os.utime(seen.path, (1, 1))
        with pytest.raises(FileChanged):
            file.read()


def test_a_file_that_grows_while_it_is_read_is_not_followed(folder: Folder, seen: Sighting) -> None:
    with open_steady(folder, seen) as file:
        assert file.read(10) == CONTENT[:10]
        with seen.path.open("ab") as more:
            more.write(CONTENT * 100)
        with pytest.raises(FileChanged):
            list(iter(partial(file.read, 1000), b""))
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) < 2 * len(CONTENT)
