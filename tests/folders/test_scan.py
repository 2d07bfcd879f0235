from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from imgsvc.folders.scan import FileChanged, Folder, FolderGone

BROKEN = os.fsdecode(b"caf\xe9.jpg")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def write(path: Path, content: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(folder: Folder) -> list[str]:
    return [sighting.name for sighting in folder.scan()]


def as_other_user() -> bool:
    return os.geteuid() != 0


def test_files_of_all_depths_are_seen_by_name(root: Path) -> None:
    for name in ("b.jpg", "a.jpg", "d/e/f.png"):
        write(root / name)
    folder = Folder(root)
    assert names(folder) == ["a.jpg", "b.jpg", "d/e/f.png"]
    assert folder.folders == {"", "d/", "d/e/"}


def test_a_sighting_has_what_changes_with_the_content(root: Path) -> None:
    path = write(root / "a.jpg", b"12345")
    (sighting,) = Folder(root).scan()
    facts = path.stat()
    assert sighting.fingerprint == (5, facts.st_mtime_ns, facts.st_ino)
    assert sighting.path == path


def test_results_of_commands_are_left_alone_and_named_once(root: Path) -> None:
    write(root / "a.jpg")
    write(root / "out" / "trip" / "a.webp")
    write(root / "out" / ".imgsvc" / "watch.jsonl")
    write(root / ".imgsvc" / "watch.jsonl")  # who watches it knows
    folder = Folder(root)
    with capture_logs() as logs:
        assert names(folder) == names(folder) == ["a.jpg"]
        assert folder.look(["out", "out/trip", "out/trip/a.webp", "a.jpg"]) == folder.scan()
    assert folder.folders == {""}
    assert [entry["event"] for entry in logs] == ["has_results"]


def test_a_file_that_is_called_as_the_mark_of_results_is_none(root: Path) -> None:
    write(root / "trip" / ".imgsvc")
    write(root / "trip" / "a.jpg")
    folder = Folder(root)
    assert names(folder) == ["trip/a.jpg"]
    assert folder.look(["trip/a.jpg"]) == folder.scan()


@pytest.mark.parametrize(
    "name",
    [".a.jpg", ".d/a.jpg", "a.jpg.part", "a.jpg.TMP", "a.crdownload", "a.partial", "a.jpg~",
     "x.tmp/a.jpg"],
)  # fmt: skip
def test_what_is_hidden_or_unfinished_is_passed_over(root: Path, name: str) -> None:
    write(root / name)
    assert names(Folder(root)) == []
    assert Folder(root).look([name]) == []


def test_left_out_folders_are_not_looked_into(root: Path) -> None:
    write(root / "out" / "a.webp")
    write(root / "outer.jpg")
    folder = Folder(root, [root / "out", root.parent / "absent"])
    assert names(folder) == ["outer.jpg"]
    assert folder.look(["out", "out/a.webp"]) == []


def test_a_left_out_folder_is_known_under_any_of_its_names(root: Path, tmp_path: Path) -> None:
    write(root / "out" / "a.webp")
    (tmp_path / "link").symlink_to(root / "out")
    assert names(Folder(root, [tmp_path / "link"])) == []


def test_a_link_that_leads_out_is_noted_once_and_not_followed(root: Path, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret" / "a.jpg")
    (root / "file.jpg").symlink_to(secret)
    (root / "folder").symlink_to(secret.parent)
    folder = Folder(root)
    with capture_logs() as logs:
        assert names(folder) == []
        assert names(folder) == []
        assert folder.look(["folder/a.jpg", "file.jpg"]) == []
    assert [(log["event"], log["name"]) for log in logs] == [
        ("link_leads_out", "file.jpg"),
        ("link_leads_out", "folder"),
    ]


def test_what_a_link_inside_leads_to_is_seen_once_and_where_it_stands(root: Path) -> None:
    write(root / "d" / "a.jpg")
    (root / "b.jpg").symlink_to(root / "d" / "a.jpg")
    (root / "d" / "loop").symlink_to(root)
    with capture_logs() as logs:
        assert names(Folder(root)) == ["d/a.jpg"]
    assert logs == []


def test_a_pipe_is_no_file(root: Path) -> None:
    os.mkfifo(root / "a.jpg")
    assert names(Folder(root)) == []


def test_a_name_in_another_encoding_is_a_name(root: Path) -> None:
    write(root / BROKEN)
    (sighting,) = Folder(root).scan()
    assert sighting.name == BROKEN
    with Folder(root).open(sighting) as file:
        assert file.read() == b"content"


@pytest.mark.skipif(not as_other_user(), reason="root reads everything")
def test_an_unreadable_folder_is_noted_once_and_tried_again(root: Path) -> None:
    write(root / "d" / "a.jpg")
    write(root / "b.jpg")
    folder = Folder(root)
    (root / "d").chmod(0)
    with capture_logs() as logs:
        assert names(folder) == ["b.jpg"]
        assert names(folder) == ["b.jpg"]
    (root / "d").chmod(0o700)
    assert [log["event"] for log in logs] == ["unreadable"]
    assert names(folder) == ["b.jpg", "d/a.jpg"]


def test_a_folder_that_is_not_there_is_gone(root: Path) -> None:
    root.rmdir()
    with pytest.raises(FolderGone):
        Folder(root).scan()
    write(root)
    with pytest.raises(FolderGone):
        Folder(root).scan()


def test_an_empty_folder_on_another_device_is_a_share_that_is_not_mounted(root: Path) -> None:
    write(root / "a.jpg")
    folder = Folder(root)
    folder.scan()
    folder._filled_device = -1
    assert names(folder) == ["a.jpg"]
    (root / "a.jpg").unlink()
    assert names(folder) == []
    folder._filled_device = -1
    with pytest.raises(FolderGone):
        folder.scan()


def test_a_look_finds_what_it_is_asked_for_and_all_below_a_folder(root: Path) -> None:
    for name in ("a.jpg", "b.jpg", "d/c.jpg", "d/e/f.jpg"):
        write(root / name)
    found = Folder(root).look(["a.jpg", "d", "absent.jpg", "d/e/f.jpg"])
    assert [sighting.name for sighting in found] == ["a.jpg", "d/c.jpg", "d/e/f.jpg"]


def test_a_file_that_was_changed_or_replaced_since_is_not_opened(root: Path) -> None:
    path = write(root / "a.jpg")
    folder = Folder(root)
    (sighting,) = folder.scan()
    path.write_bytes(b"more content")
    with pytest.raises(FileChanged):
        folder.open(sighting)
    path.unlink()
    with pytest.raises(FileChanged):
        folder.open(sighting)


def test_a_folder_that_became_a_link_is_not_walked_through(root: Path, tmp_path: Path) -> None:
    path = write(root / "d" / "a.jpg")
    folder = Folder(root)
    (sighting,) = folder.scan()
    path.parent.rename(tmp_path / "elsewhere")
    (root / "d").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileChanged):
        folder.open(sighting)


def test_a_pipe_in_a_files_place_does_not_hold_anybody_up(root: Path) -> None:
    path = write(root / "a.jpg")
    folder = Folder(root)
    (sighting,) = folder.scan()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FileChanged):
        folder.open(sighting)


def test_where_inodes_change_from_look_to_look_they_do_not_count(root: Path) -> None:
    path = write(root / "a.jpg")
    folder = Folder(root)
    folder.has_inodes = False
    (sighting,) = folder.scan()
    assert sighting.inode == 0
    copy = root / "copy"
    copy.write_bytes(b"content")
    os.utime(copy, ns=(0, path.stat().st_mtime_ns))
    copy.replace(path)
    assert folder.scan() == [sighting]
    with folder.open(sighting) as file:
        assert file.read() == b"content"
