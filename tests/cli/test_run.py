"""`imgsvc run`: files in, files out, and only what is missing the next time."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from imgsvc.cli.inputs import FoundFile, find_files
from imgsvc.cli.main import cli
from imgsvc.domain.picture import Picture
from imgsvc.errors import StorageFull
from imgsvc.files import places
from imgsvc.files.places import Places
from imgsvc.intake.headers import read_header
from imgsvc.service import local_run
from imgsvc.store.store import Store
from tests.killed_writers import leave_part
from tests.pictures import encode, make_jpeg, make_png
from tests.rights import confined

OTHER_DISK = Path("/dev/shm")  # noqa: S108 - a file system in memory, where there is one
RECIPE = {"variants": [{"name": "s", "width": 16, "format": "webp"}, {"name": "l", "width": 32}]}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "shop").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(make_jpeg(64, 48))
    (folder / "shop" / "b.png").write_bytes(make_png(48, 64))
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(RECIPE))
    return file


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["run", "--workers=1", *map(str, arguments)])


def _summary(*arguments: object) -> dict[str, Any]:
    result = _run("--json", *arguments)
    assert result.exit_code == 0, result.output
    summary: dict[str, Any] = json.loads(result.stdout)
    return summary


def _results(out: Path) -> dict[str, float]:
    """Every result with its time of change."""
    files = (path for path in out.rglob("*") if path.is_file() and ".imgsvc" not in path.parts)
    return {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in files}


def test_results_keep_the_folders_of_their_inputs(
    photos: Path, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    summary = _summary(photos, "--out", out, "--recipe", recipe)
    assert (summary["total"], summary["completed"], summary["failed"]) == (2, 2, 0)
    assert set(_results(out)) == {
        "a-s.webp", "a-l.jpg", "shop/b-s.webp", "shop/b-l.png",
    }  # fmt: skip
    with Image.open(out / "shop" / "b-s.webp") as picture:
        assert picture.size == (16, 21)


def test_a_file_that_may_not_be_read_fails_alone_and_says_why(
    photos: Path, recipe: Path, tmp_path: Path
) -> None:
    (photos / "closed.jpg").write_bytes(make_jpeg(64, 48))
    (photos / "closed.jpg").chmod(0)
    command = [sys.executable, "-m", "imgsvc", "run", "--workers=2"]
    ran = subprocess.run(
        [*confined(), *command, photos, "--out", tmp_path / "out", "--recipe", recipe],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    done, failed, failure = ran.stderr.splitlines()
    assert done.startswith("2 images done: ")
    assert failed == "1 image failed:"
    assert failure == "  closed.jpg: It cannot be read: Permission denied (internal)"


def test_a_pipe_is_refused_as_it_could_be_read_once_only(photos: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    result = _run(photos, tmp_path / "pipe.jpg", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "pipe.jpg is no file that can be read in place" in " ".join(result.stderr.split())


def test_a_file_that_is_gone_by_the_time_that_all_are_found_fails_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_and_lose(*arguments: Any, **options: Any) -> list[FoundFile]:
        found = find_files(*arguments, **options)
        found[0].path.unlink()
        return found

    monkeypatch.setattr("imgsvc.cli.run.find_files", find_and_lose)
    result = _run(photos, "--out", tmp_path / "out", "--preset", "thumbnail")
    assert result.exit_code == 1, result.output
    done, failed, failure = result.stderr.splitlines()
    assert done.startswith("1 image done: ")
    assert failed == "1 image failed:"
    assert failure == "  a.jpg: The input file is not there any more (internal)"
    assert set(_results(tmp_path / "out")) == {"shop/b.webp"}


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_workers_of_a_run_that_was_given_no_output_start_too(
    closed: str, photos: Path, tmp_path: Path
) -> None:
    (photos / "c.jpg").write_bytes(b"no image")
    shell = f'exec "$@" {closed}'
    command = [sys.executable, "-m", "imgsvc", "run", str(photos), "--out"]
    command += [str(tmp_path / "out"), "--preset", "thumbnail", "--workers", "1"]
    done = subprocess.run(["/bin/sh", "-c", shell, "sh", *command], check=False)
    assert done.returncode == 1
    assert set(_results(tmp_path / "out")) == {"a.webp", "shop/b.webp"}


def test_a_second_run_does_nothing(photos: Path, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _summary(photos, "--out", out, "--recipe", recipe)
    before = _results(out)
    summary = _summary(photos, "--out", out, "--recipe", recipe)
    assert (summary["skipped"], summary["completed"]) == (2, 0)
    assert _results(out) == before


def test_a_second_run_finds_a_folder_that_is_named_from_where_it_is_called(
    photos: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    _summary("photos", "--out", "out", "--recipe", recipe)
    summary = _summary("photos", "--out", "out", "--recipe", recipe)
    assert (summary["skipped"], summary["completed"]) == (2, 0)


def test_only_what_is_missing_or_changed_is_done_again(
    photos: Path, recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (photos / "c.jpg").write_bytes(make_jpeg(40, 40))
    _summary(photos, "--out", out, "--recipe", recipe)
    before = _results(out)
    (out / "a-s.webp").unlink()
    (photos / "shop" / "b.png").write_bytes(make_png(50, 50))
    summary = _summary(photos, "--out", out, "--recipe", recipe)
    assert (summary["skipped"], summary["completed"]) == (1, 2)
    after = _results(out)
    assert set(after) == set(before)
    assert after["c-s.webp"] == before["c-s.webp"]
    with Image.open(out / "shop" / "b-s.webp") as picture:
        assert picture.size == (16, 16)


def test_a_result_that_another_input_has_overwritten_is_made_again(
    recipe: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for colour in ("red", "blue"):
        (tmp_path / colour).mkdir()
        (tmp_path / colour / "a.png").write_bytes(encode(Image.new("RGB", (8, 8), colour), "PNG"))
        _summary(tmp_path / colour, "--out", out, "--recipe", recipe)
    assert _summary(tmp_path / "blue", "--out", out, "--recipe", recipe)["skipped"] == 1
    blue = _results(out)
    assert _summary(tmp_path / "red", "--out", out, "--recipe", recipe)["completed"] == 1
    assert _results(out) != blue
    assert _summary(tmp_path / "red", "--out", out, "--recipe", recipe)["skipped"] == 1


def test_another_recipe_makes_everything_anew(photos: Path, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    _summary(photos, "--out", out, "--recipe", recipe)
    recipe.write_text(json.dumps({"variants": [{"name": "s", "width": 8, "format": "webp"}]}))
    assert _summary(photos, "--out", out, "--recipe", recipe)["completed"] == 2


def test_a_bad_image_is_named_and_fails_the_run(photos: Path, tmp_path: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"no picture")
    result = _run(photos, "--out", tmp_path / "out", "--preset", "thumbnail")
    assert result.exit_code == 1
    assert "bad.jpg" in result.stderr
    assert "unsupported_format" in result.stderr
    assert set(_results(tmp_path / "out")) == {"a.webp", "shop/b.webp"}


def test_failures_are_told_in_the_order_of_their_images(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in that of their failing: what may not be read fails before anything is made."""

    def read(head: bytes) -> Picture | None:
        if head == b"closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return read_header(head)

    monkeypatch.setattr(local_run, "read_header", read)
    for name in ("bad.jpg", "worse.jpg"):
        (photos / name).write_bytes(b"no picture")
    (photos / "closed.jpg").write_bytes(b"closed")
    for _ in range(2):
        result = _run("--json", photos, "--out", tmp_path / "out", "--preset", "thumbnail")
        names = [failure["name"] for failure in json.loads(result.stdout)["failures"]]
        assert names == ["bad.jpg", "closed.jpg", "worse.jpg"]


def test_a_result_that_cannot_be_saved_is_named_and_holds_up_no_other(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "a.webp" / "in the way").mkdir(parents=True)
    result = _run(photos, "--out", out, "--preset", "thumbnail")
    assert result.exit_code == 1, result.output
    assert "a.jpg: Its result cannot be saved" in result.stderr
    assert "(not_saved)" in result.stderr
    assert set(_results(out)) == {"shop/b.webp"}
    (out / "a.webp" / "in the way").rmdir()
    (out / "a.webp").rmdir()
    assert _summary(photos, "--out", out, "--preset", "thumbnail")["completed"] == 1


def test_a_folder_is_not_its_own_out_folder(photos: Path) -> None:
    """Else results of the first run would be images for the second one."""
    result = _run(photos, photos / "a.jpg", "--out", photos / "shop" / "..")
    assert result.exit_code == 2
    assert "would be taken for new images" in result.stderr
    assert set(_results(photos)) == {"a.jpg", "shop/b.png"}


@pytest.mark.parametrize("linked", [False, True])
def test_no_result_takes_the_place_of_an_image_that_was_read(
    photos: Path, tmp_path: Path, linked: bool
) -> None:
    before = (photos / "a.jpg").read_bytes()
    inputs = tmp_path / "links" if linked else photos
    if linked:
        inputs.mkdir()
        (inputs / "a.jpg").symlink_to(photos / "a.jpg")
    for _ in range(2):
        result = _run(inputs / "a.jpg", "--out", photos, "--preset", "compress")
        assert result.exit_code == 1, result.output
        assert "a.jpg there is an image of this run (not_saved)" in result.stderr
        assert (photos / "a.jpg").read_bytes() == before
    assert _run(inputs / "a.jpg", "--out", photos, "--preset", "thumbnail").exit_code == 0
    assert "a.webp" in _results(photos)


def test_a_link_in_the_out_folder_leads_no_result_elsewhere(photos: Path, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "shop").symlink_to(elsewhere)
    result = _run(photos, "--out", out, "--preset", "thumbnail")
    assert result.exit_code == 1, result.output
    assert "shop/b.png: Its result cannot be saved: A link" in result.stderr
    assert list(elsewhere.iterdir()) == []


def test_a_disk_that_takes_nothing_ends_the_run_with_a_word(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Places, "link", refuse)
    result = _run(photos, "--out", tmp_path / "out", "--preset", "thumbnail")
    assert result.exit_code == 2, result.output
    assert "cannot be written: Read-only file system" in result.stderr


def test_inputs_are_read_in_place_and_left_alone(photos: Path, tmp_path: Path) -> None:
    content = (photos / "a.jpg").read_bytes()
    (photos / "a.jpg").chmod(0o440)
    _summary(photos, "--out", tmp_path / "out", "--preset", "thumbnail")
    assert (photos / "a.jpg").read_bytes() == content
    assert (photos / "a.jpg").stat().st_nlink == 1
    assert not any((tmp_path / "out" / ".imgsvc" / "jobs").iterdir())


def test_the_out_folder_may_stand_among_the_inputs(photos: Path) -> None:
    _summary(photos, "--out", photos / "out", "--preset", "thumbnail")
    assert _summary(photos, "--out", photos / "out", "--preset", "thumbnail")["total"] == 2


@pytest.mark.skipif(not OTHER_DISK.is_dir(), reason="there is no second disk")
def test_results_may_lie_on_another_disk(photos: Path, recipe: Path) -> None:
    out = OTHER_DISK / f"imgsvc-{os.getpid()}"
    try:
        assert _summary(photos, "--out", out, "--recipe", recipe)["completed"] == 2
    finally:
        shutil.rmtree(out)


def test_a_name_that_is_no_utf8_is_processed_too(photos: Path, tmp_path: Path) -> None:
    strange = Path(os.fsdecode(os.fsencode(photos) + b"/caf\xe9.jpg"))
    shutil.copy(photos / "a.jpg", strange)
    assert _summary(photos, "--out", tmp_path / "out", "--preset", "thumbnail")["completed"] == 3


def test_a_folder_in_use_by_another_run_is_said(photos: Path, tmp_path: Path) -> None:
    from imgsvc.store.lock import DataFolderLock

    state = tmp_path / "out" / ".imgsvc"
    state.mkdir(parents=True)
    lock = DataFolderLock(state / "lock")
    lock.acquire()
    try:
        result = _run(photos, "--out", tmp_path / "out")
    finally:
        lock.release()
    assert result.exit_code == 2
    assert f"process {os.getpid()}" in result.stderr


def test_nothing_to_do_and_nothing_found_are_said(tmp_path: Path) -> None:
    result = _run(tmp_path / "nope", "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "nope" in result.stderr


def test_a_full_disk_ends_the_run_with_a_word(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: object, **_options: object) -> None:
        raise StorageFull("There is not enough free disk space.")

    monkeypatch.setattr(Store, "append_images", fail)
    result = _run(photos, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "disk space" in result.stderr


def test_what_a_killed_run_has_left_is_removed_by_a_later_one(
    photos: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    (out / "shop").mkdir(parents=True)
    part = leave_part(out, "shop/b-s.webp")
    monkeypatch.setattr(places, "ABANDONED_S", -60)
    _summary(photos, "--out", out, "--recipe", recipe)
    assert not part.exists()


def test_a_dry_run_says_what_would_be_done_and_does_nothing(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = _run(photos, "--out", out, "--dry-run")
    assert (result.exit_code, result.stdout) == (0, "a.jpg\nshop/b.png\n")
    assert not out.exists()
    _summary(photos, "--out", out)
    (photos / "c.jpg").write_bytes(make_jpeg(20, 20))
    before = _results(out)
    assert _summary(photos, "--out", out, "--dry-run") == {"todo": ["c.jpg"], "unchanged": 2}
    assert _results(out) == before
