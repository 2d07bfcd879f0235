"""What a task reads is brought into its slot: all of it, or nothing."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from imgsvc.domain.rendering import DecodeLimits, Failure, RenderTask, TaskKey, WatermarkFile
from imgsvc.domain.retries import GiveUp, Retry, Trouble, decide_retry
from imgsvc.workers.scratch import InputUnavailable, Scratch, bring_in_all, remove_inputs
from tests.open_files import no_more_files


def task(folder: Path) -> RenderTask:
    marks = tuple(WatermarkFile(str(n) * 64, str(folder / f"mark{n}")) for n in range(2))
    return RenderTask(
        TaskKey("job", 0, 1), str(folder / "in"), "", "{}", DecodeLimits(1, 1), 1, watermarks=marks
    )


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    scratch = Scratch(tmp_path / "slot")
    scratch.make()
    for name in ("in", "mark0", "mark1"):
        (tmp_path / name).write_text(name)
    return scratch


def assert_empty(scratch: Scratch) -> None:
    assert [*scratch.folder.iterdir(), *scratch.inputs.iterdir()] == []


@pytest.mark.parametrize("make", [Scratch.make, Scratch.restore])
def test_folders_of_a_slot_are_made_anew_but_no_data_folder(
    tmp_path: Path, make: Callable[[Scratch], object]
) -> None:
    data = tmp_path / "data"
    scratch = Scratch(data / "slots" / "0")
    with pytest.raises(FileNotFoundError):
        make(scratch)
    assert not data.exists()
    data.mkdir()
    make(scratch)
    assert scratch.is_there


def test_a_child_reads_nothing_outside_its_slot(scratch: Scratch, tmp_path: Path) -> None:
    wanted = task(tmp_path)
    placed = scratch.place(wanted)
    bring_in_all(wanted, placed)
    assert [Path(path).read_text() for path in placed.read_paths] == ["in", "mark0", "mark1"]
    assert {Path(path).parent for path in placed.read_paths} == {scratch.inputs}
    assert [file.sha256 for file in placed.watermarks] == ["0" * 64, "1" * 64]
    remove_inputs(placed)
    assert_empty(scratch)


def test_a_lost_task_leaves_no_watermark(scratch: Scratch, tmp_path: Path) -> None:
    wanted = task(tmp_path)
    placed = scratch.place(wanted)
    bring_in_all(wanted, placed)
    scratch.remove_all_of([placed])
    assert_empty(scratch)


def test_nobody_can_leave_files_in_the_way_of_those_who_come_later(
    scratch: Scratch, tmp_path: Path
) -> None:
    wanted = task(tmp_path)
    assert scratch.place(wanted).output_prefix != scratch.place(wanted).output_prefix
    assert scratch.new_process_files() != scratch.new_process_files()


def test_what_a_hijacked_child_removes_at_once_does_not_fail_its_image(
    scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child that it is for may be another one."""
    link = os.link

    def link_and_lose(source: str, destination: str) -> None:
        link(source, destination)
        Path(destination).unlink()

    monkeypatch.setattr(os, "link", link_and_lose)
    wanted = replace(task(tmp_path), input_bytes=len("in"))
    bring_in_all(wanted, scratch.place(wanted))
    assert_empty(scratch)


def test_calls_and_reports_are_removed_with_their_tasks(scratch: Scratch) -> None:
    for ordinal in (3, 30):
        scratch.call_path(ordinal).touch()
        scratch.report_path(ordinal).touch()
    scratch.remove_all_of([], [3])
    left = {*scratch.folder.iterdir(), *scratch.inputs.iterdir()}
    assert left == {scratch.call_path(30), scratch.report_path(30)}


def test_a_folder_in_the_place_of_a_file_is_removed_with_what_is_in_it(
    scratch: Scratch, tmp_path: Path
) -> None:
    placed = scratch.place(task(tmp_path))
    for start in (placed.input_path, f"{placed.output_prefix}-only.png"):
        (Path(start) / "more").mkdir(parents=True)
        (Path(start) / "more" / "file").touch()
    remove_inputs(placed)
    assert list(scratch.inputs.iterdir()) == []
    scratch.remove_all_of([placed])
    assert_empty(scratch)


def test_what_cannot_be_removed_for_want_of_open_files_is_removed_with_the_next(
    scratch: Scratch, tmp_path: Path
) -> None:
    first, second = task(tmp_path), replace(task(tmp_path), key=TaskKey("job", 1, 1))
    placed = [scratch.place(wanted) for wanted in (first, second)]
    for wanted, its_own in zip((first, second), placed, strict=True):
        bring_in_all(wanted, its_own)
    with no_more_files():
        scratch.remove_all_of(placed[:1])
    scratch.remove_all_of(placed[1:])
    assert_empty(scratch)


def test_an_input_is_not_taken_for_gone_where_the_folder_of_its_slot_is(
    scratch: Scratch, tmp_path: Path
) -> None:
    scratch.inputs.rmdir()
    wanted = task(tmp_path)
    with pytest.raises(InputUnavailable) as caught:
        bring_in_all(wanted, scratch.place(wanted))
    assert isinstance(decide_retry(Trouble(caught.value.failure, attempts=1), 0.5), Retry)


def test_where_one_file_is_gone_none_is_brought_in(scratch: Scratch, tmp_path: Path) -> None:
    (tmp_path / "mark1").unlink()
    wanted = task(tmp_path)
    with pytest.raises(InputUnavailable):
        bring_in_all(wanted, scratch.place(wanted))
    assert_empty(scratch)


@dataclass
class Copying:
    """Inputs of a task that cannot be linked, nor copied."""

    scratch: Scratch
    wanted: RenderTask
    patch: pytest.MonkeyPatch

    def fail(self, number: int, *, in_slot: bool) -> tuple[Failure, Retry | GiveUp]:
        """By an error of that number; what it is called, and what becomes of the image."""

        def refuse(_: str, destination: str) -> None:
            raise OSError(number, os.strerror(number), destination if in_slot else None)

        self.patch.setattr(os, "link", refuse)
        self.patch.setattr(shutil, "copyfile", refuse)
        with pytest.raises(InputUnavailable) as caught:
            bring_in_all(self.wanted, self.scratch.place(self.wanted))
        assert_empty(self.scratch)
        failure = caught.value.failure
        return failure, decide_retry(Trouble(failure, attempts=1), 0.5)


@pytest.fixture
def copying(scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copying:
    return Copying(scratch, task(tmp_path), monkeypatch)


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EMFILE, errno.ESTALE, errno.EIO, errno.EACCES]
)
def test_an_input_that_cannot_be_copied_waits_for_a_trouble_that_passes_and_fails_for_another(
    copying: Copying, number: int
) -> None:
    failure, decision = copying.fail(number, in_slot=False)
    if number in {errno.EIO, errno.EACCES}:  # one file's alone, and maybe for ever
        assert decision == GiveUp(failure)
    else:
        assert isinstance(decision, Retry)
        assert not decision.counts


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_an_input_waits_while_its_slot_cannot_be_written(copying: Copying, number: int) -> None:
    _, decision = copying.fail(number, in_slot=True)
    assert isinstance(decision, Retry)
    assert not decision.counts
