from __future__ import annotations

import errno
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgsvc.files import places as module
from imgsvc.files.places import Places, takes_files
from tests.killed_writers import leave_part


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "made").write_bytes(b"new")
    return tmp_path / "made"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Somebody's own folder."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.webp").write_bytes(b"precious")
    return tmp_path / "elsewhere"


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_file_takes_its_place_and_that_of_what_stood_there(root: Path, source: Path) -> None:
    places = Places(root)
    places.copy(source, "trip/day/a.webp")
    places.write(b"older", "b.webp")
    places.link(source, "b.webp")
    places.sync()
    assert contents(root) == {"trip/day/a.webp": b"new", "b.webp": b"new"}
    assert (root / "b.webp").samefile(source)
    assert not (root / "trip" / "day" / "a.webp").samefile(source)


def test_a_folder_that_is_gone_or_closed_takes_no_files(root: Path) -> None:
    assert takes_files(root)
    assert not takes_files(root / "none")
    if os.geteuid() != 0:  # root writes everywhere
        root.chmod(0o500)
        assert not takes_files(root)


def test_what_stands_there_is_read_and_no_link_and_no_folder(root: Path, elsewhere: Path) -> None:
    places = Places(root, durably=False)
    places.write(b"new", "trip/a.webp")
    (root / "link.webp").symlink_to(elsewhere / "a.webp")
    (root / "linked").symlink_to(elsewhere)
    os.mkfifo(root / "pipe")
    with places.reading("trip/a.webp") as file:
        assert file.read() == b"new"
    for target in ("link.webp", "linked/a.webp", "trip", "pipe", "none.webp"):
        with pytest.raises(OSError), places.reading(target):  # noqa: PT011
            pass


def test_a_file_that_is_linked_again_leaves_nothing_behind(root: Path, source: Path) -> None:
    for _ in range(2):
        Places(root).link(source, "a.webp")
    assert contents(root) == {"a.webp": b"new"}


def test_a_linked_file_may_be_read_by_whoever_may_read_new_ones(root: Path, source: Path) -> None:
    source.chmod(0o600)
    new = root / "new"
    new.touch()
    Places(root).link(source, "a.webp")
    assert (root / "a.webp").stat().st_mode == new.stat().st_mode


def test_what_can_have_no_second_name_is_copied(
    root: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    Places(root).link(source, "a.webp")
    assert contents(root) == {"a.webp": b"new"}
    assert not (root / "a.webp").samefile(source)


def test_what_may_not_be_opened_to_others_is_copied(
    root: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(errno.EPERM, "not yours")

    source.chmod(0o600)
    new = root / "new"
    new.touch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "chmod", refuse)
        Places(root).link(source, "a.webp")
    assert contents(root) == {"a.webp": b"new", "new": b""}
    assert (root / "a.webp").stat().st_mode == new.stat().st_mode
    assert source.stat().st_mode & 0o777 == 0o600


def test_a_link_where_a_file_belongs_is_replaced_not_followed(
    root: Path, source: Path, elsewhere: Path
) -> None:
    for put in (Places(root).copy, Places(root).link):
        (root / "a.webp").unlink(missing_ok=True)
        (root / "a.webp").symlink_to(elsewhere / "a.webp")
        put(source, "a.webp")
        assert not (root / "a.webp").is_symlink()
    assert contents(elsewhere) == {"a.webp": b"precious"}


def test_a_name_that_is_being_written_cannot_be_foreseen(
    root: Path, source: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _bytes: "foreseen")
    (root / ".imgsvc-foreseen.part").symlink_to(elsewhere / "a.webp")
    with pytest.raises(FileExistsError):
        Places(root).copy(source, "a.webp")
    assert contents(elsewhere) == {"a.webp": b"precious"}


@pytest.mark.parametrize("target", ["trip/a.webp", "trip/day/a.webp"])
def test_nothing_is_reached_through_a_linked_folder(
    root: Path, source: Path, elsewhere: Path, target: str
) -> None:
    (root / "trip").symlink_to(elsewhere)
    places = Places(root)
    for put in (places.copy, places.link):
        with pytest.raises(OSError, match="A link stands") as caught:
            put(source, target)
        assert caught.value.errno == errno.ELOOP
    with pytest.raises(OSError, match="A link stands"):
        places.remove(target)
    assert contents(elsewhere) == {"a.webp": b"precious"}


@pytest.mark.parametrize("target", ["../a.webp", "trip/../../a.webp", "/a.webp", "", ".", ".."])
def test_a_target_is_below_the_folder(root: Path, source: Path, target: str) -> None:
    with pytest.raises(OSError, match="no path below"):
        Places(root).copy(source, target)


def test_the_folder_itself_may_be_linked_and_is_not_made(
    root: Path, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "linked").symlink_to(root)
    Places(tmp_path / "linked").copy(source, "a.webp")
    assert contents(root) == {"a.webp": b"new"}
    with pytest.raises(FileNotFoundError):
        Places(tmp_path / "gone").copy(source, "a.webp")
    assert not (tmp_path / "gone").exists()


def test_what_breaks_off_leaves_what_stood_there(root: Path) -> None:
    places = Places(root)
    places.write(b"older", "a.webp")

    def break_off() -> None:
        with places.writing("a.webp") as part:
            part.write(b"half of")
            raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        break_off()
    assert contents(root) == {"a.webp": b"older"}


def test_a_folder_in_the_way_is_said_and_nothing_is_left_beside_it(
    root: Path, source: Path
) -> None:
    (root / "a.webp").mkdir()
    with pytest.raises(IsADirectoryError):
        Places(root).copy(source, "a.webp")
    assert contents(root) == {}


def test_what_the_killed_have_left_is_swept_when_nobody_can_be_writing_it(
    root: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [leave_part(root, "a.webp"), leave_part(root, "trip/day/a.webp")]
    os.utime(left[0], (1, 1))  # as of a second name of an old file
    linked = leave_part(elsewhere, "a.webp")
    own = [root / ".imgsvc-notes.part", root / "trip" / f"{left[0].name}.jpg", root / "a.part"]
    for path in own:
        path.write_bytes(b"somebody's own")
    (root / "trip" / "linked").symlink_to(elsewhere)
    (root / "day" / left[0].name).mkdir(parents=True)
    places = Places(root)
    places.sweep_all()
    assert all(path.exists() for path in left)
    monkeypatch.setattr(module, "ABANDONED_S", -60)
    for target in ("a.webp", "never/a.webp", "trip/linked/a.webp"):
        places.sweep(target)
    assert [path.exists() for path in left] == [False, True]
    places.sweep_all()
    Places(root / "none").sweep_all()
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in (*own, linked, root / "day" / left[0].name))


def test_how_old_something_is_says_the_clock_of_the_share(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + 2 * module.ABANDONED_S)
    places = Places(root)
    with places.writing("a.webp") as part:
        part.write(b"another's")
        Places(root).sweep_all()
    assert contents(root) == {"a.webp": b"another's"}


def test_folders_may_be_as_deep_as_somebody_makes_them(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ABANDONED_S", -60)
    left = leave_part(root, "a.webp")
    folder = os.open(root, os.O_RDONLY)
    for _ in range(2 * sys.getrecursionlimit()):
        os.mkdir("d", dir_fd=folder)
        outer, folder = folder, os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(outer)
    os.close(folder)
    try:
        Places(root).sweep_all()
    finally:
        subprocess.run(["rm", "-r", root / "d"], check=True)  # what Python removes is less deep
    assert not left.exists()


def test_what_is_removed_may_be_gone_already(root: Path, source: Path) -> None:
    places = Places(root)
    places.copy(source, "trip/a.webp")
    for target in ("trip/a.webp", "trip/a.webp", "never/a.webp"):
        places.remove(target)
    places.sync()
    assert contents(root) == {}
