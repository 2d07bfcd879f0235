from __future__ import annotations

import io
import os
import stat
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from imgsvc.files import zip_archive
from imgsvc.files.zip_archive import ZipArchive

HUGE_BYTES = (4 << 30) + 5
HUGE_CRC = 0xB1C2A1A3
"""Of so many zeros."""
NAMES = ["a.webp", "fjord/日本.webp", "empty", "🙂 b"]


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[Path, str]]:
    """Each with its name in an archive; one is empty, one is read in several pieces."""
    sizes = (5, 700_000, 0, 3)
    for number, size in enumerate(sizes):
        (tmp_path / f"{number}").write_bytes(os.urandom(size))
    os.utime(tmp_path / "0", (0, time.mktime((2021, 2, 3, 4, 5, 6, 0, 0, -1))))
    os.utime(tmp_path / "2", (0, 1))
    (tmp_path / "3").chmod(0o604)
    return [(tmp_path / f"{number}", name) for number, name in enumerate(NAMES)]


def read_whole(archive: ZipArchive) -> zipfile.ZipFile:
    content = b"".join(archive)
    assert len(content) == archive.size_bytes
    opened = zipfile.ZipFile(io.BytesIO(content))
    assert opened.testzip() is None
    return opened


def check(files: list[tuple[Path, str]]) -> None:
    archive = ZipArchive()
    archive.add(files[:1])
    archive.add(files[1:])
    for _ in range(2):
        with read_whole(archive) as opened:
            assert opened.namelist() == NAMES
            for path, name in files:
                assert opened.read(name) == path.read_bytes()
                assert opened.getinfo(name).external_attr >> 16 == path.stat().st_mode
            assert opened.getinfo("a.webp").date_time == (2021, 2, 3, 4, 5, 6)
            assert opened.getinfo("empty").date_time == (1980, 1, 1, 0, 0, 0)


def test_files_come_out_as_they_are(files: list[tuple[Path, str]]) -> None:
    check(files)


@pytest.mark.parametrize("limit", [1, 50, 600_000, 700_100])
def test_numbers_beyond_the_limits_of_a_plain_zip_are_written_the_new_way(
    files: list[tuple[Path, str]], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_archive, "_LIMIT", limit)
    check(files)


def test_there_may_be_more_entries_than_a_plain_zip_has(
    files: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_archive, "_MOST_ENTRIES", 3)
    check(files)


def test_a_file_may_have_any_size(tmp_path: Path) -> None:
    (tmp_path / "after").write_bytes(b"after it")
    archive = ZipArchive()
    with os.fdopen(os.memfd_create("huge"), "wb") as file:  # its holes are read for nothing
        file.truncate(HUGE_BYTES)
        (tmp_path / "huge").symlink_to(f"/proc/self/fd/{file.fileno()}")
        archive.add((tmp_path / name, name) for name in ("huge", "after"))
        write_sparse(archive, tmp_path / "all.zip")
    assert (tmp_path / "all.zip").stat().st_size == archive.size_bytes
    with zipfile.ZipFile(tmp_path / "all.zip") as opened:
        huge = opened.getinfo("huge")
        assert (huge.file_size, huge.compress_size, huge.CRC) == (HUGE_BYTES, HUGE_BYTES, HUGE_CRC)
        assert opened.read("after") == b"after it"


def write_sparse(archive: ZipArchive, path: Path) -> None:
    """Blocks of zeros as holes."""
    zeros = bytes(zip_archive.READ_BYTES)
    with path.open("wb") as file:
        for chunk in archive:
            if chunk == zeros:
                file.seek(len(chunk), os.SEEK_CUR)
            else:
                file.write(chunk)


def test_an_archive_of_nothing_is_one() -> None:
    with read_whole(ZipArchive()) as opened:
        assert opened.namelist() == []


def test_a_folder_comes_out_with_its_folders_empty_ones_among_them(tmp_path: Path) -> None:
    (tmp_path / "all" / "jobs" / "none").mkdir(parents=True)
    (tmp_path / "all" / "jobs" / "file").write_bytes(b"1")
    (tmp_path / "all" / "top").write_bytes(b"22")
    (tmp_path / "all" / "jobs").chmod(0o710)
    archive = ZipArchive()
    archive.add_all_of(tmp_path / "all")
    with read_whole(archive) as opened:
        assert sorted(opened.namelist()) == ["jobs/", "jobs/file", "jobs/none/", "top"]
        assert opened.getinfo("jobs/none/").is_dir()
        assert opened.getinfo("jobs/").external_attr >> 16 == stat.S_IFDIR | 0o710
        opened.extractall(tmp_path / "again")
    assert (tmp_path / "again" / "jobs" / "none").is_dir()
    assert (tmp_path / "again" / "jobs" / "file").read_bytes() == b"1"


def test_of_an_empty_folder_there_is_nothing(tmp_path: Path) -> None:
    archive = ZipArchive()
    archive.add_all_of(tmp_path)
    assert len(b"".join(archive)) == 22


@pytest.mark.parametrize("size", [0, 4, 6, 300_000])
def test_a_file_of_another_size_than_before_breaks_the_archive_off(
    files: list[tuple[Path, str]], size: int
) -> None:
    archive = ZipArchive()
    archive.add(files)
    files[0][0].write_bytes(bytes(size))
    with pytest.raises(OSError, match="had 5"):
        b"".join(archive)


def test_a_file_that_is_not_there_cannot_be_added(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ZipArchive().add([(tmp_path / "gone", "a")])


def test_an_entry_takes_little_memory(files: list[tuple[Path, str]]) -> None:
    count = 5000
    path = files[0][0]
    archive = ZipArchive()
    tracemalloc.start()
    archive.add((path, f"holiday/DSC_{number:05}-thumbnail.webp") for number in range(count))
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    length = sum(map(len, archive))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert length == archive.size_bytes
    assert held_bytes < 20 * count
    assert peak_bytes < 30 * count + (3 << 20)
