"""A slot's folder: inputs are linked in, outputs are left here until they are moved away.

Used by both sides. All of it blocks, so the parent calls it in threads.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from imgsvc.domain.rendering import Failure, RenderTask
from imgsvc.errors import ImageErrorCode, ImgsvcError
from imgsvc.files.errnos import is_disk_full, may_be_its_own, will_pass
from imgsvc.files.slot_names import INPUTS

NO_SPACE = Failure(ImageErrorCode.STORAGE_FULL, "There is not enough free disk space.")
NOT_NOW = Failure(
    ImageErrorCode.STORAGE_FULL, "Files of this image cannot be read or written at the moment."
)

_GONE = Failure(ImageErrorCode.INTERNAL, "The input file is not there any more")
_UNREADABLE = Failure(ImageErrorCode.INTERNAL, "The input file cannot be read")


class InputUnavailable(ImgsvcError):
    """An input cannot be brought into the slot; `failure` says so to the client.

    path, why: for the log, what is wrong with which file; empty where waiting helps, and where the
    file is gone, as that of a job that was deleted may be.
    """

    def __init__(self, failure: Failure, path: str = "", why: str = "") -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.path = path
        self.why = why


class ProcessFiles(NamedTuple):
    """stderr: where all that native code says goes. task: says what the process is at."""

    stderr: Path
    task: Path

    def remove(self) -> None:
        for path in self:
            path.unlink(missing_ok=True)


class Scratch:
    """The two folders of one slot: `folder`, in which the child writes, and `inputs`, from which
    it reads and removes. What stands there are links, often to somebody's own files, and who may
    write through a link changes them.

    Names begin with the task's key, its claim included, so that a task which is done twice, or
    late, meets nobody else's files. They end in what nobody can guess: a hijacked child could leave
    files there that those who come later may not write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inputs = folder.with_name(f"{folder.name}{INPUTS}")
        self._late: set[str] = set()

    def make(self) -> bool:
        """Make the folders, empty. False while outputs of an earlier slot wait there. Raises
        OSError as `restore`.
        """
        self.remove_if_empty()
        self.folder.parent.mkdir(mode=0o750, exist_ok=True)
        try:
            self.folder.mkdir()
        except FileExistsError:
            return False
        self.inputs.mkdir(exist_ok=True)
        return True

    @property
    def is_there(self) -> bool:
        """Whether both folders stand; what was confined to them does not reach new ones."""
        return self.folder.exists() and self.inputs.exists()

    def restore(self) -> None:
        """Make again what somebody has removed, but no data folder in the place of one that was
        moved. Raises OSError then.
        """
        for folder in (self.folder.parent, self.folder, self.inputs):
            folder.mkdir(mode=0o750, exist_ok=True)

    def remove_if_empty(self) -> None:
        """Outputs that still wait to be moved away keep their folder."""
        for folder in (self.inputs, self.folder):
            try:
                folder.rmdir()
            except OSError as exc:
                if exc.errno not in {errno.ENOTEMPTY, errno.ENOENT}:
                    raise

    def place(self, task: RenderTask) -> RenderTask:
        """The task with its paths in these folders."""
        key = task.key
        stem = f"{key.job_id}-{key.index}-{key.claim}-{token_hex(4)}"
        source = f"{self.inputs}/{stem}"
        watermarks = tuple(
            replace(file, path=f"{source}.watermark-{number}")
            for number, file in enumerate(task.watermarks)
        )
        return replace(
            task,
            input_path=f"{source}.input",
            output_prefix=f"{self.folder}/{stem}",
            watermarks=watermarks,
        )

    def report_path(self, ordinal: int) -> Path:
        return self.folder / f"report-{ordinal}.json"

    def call_path(self, ordinal: int) -> Path:
        return self.inputs / f"call-{ordinal}.pickle"

    def new_process_files(self) -> ProcessFiles:
        """Of one process of several that may be in the slot."""
        start = f"process-{token_hex(4)}"
        return ProcessFiles(self.folder / f"{start}.stderr", self.folder / f"{start}.task")

    def remove_all_of(self, tasks: Iterable[RenderTask], ordinals: Iterable[int] = ()) -> None:
        """Remove whatever the tasks, placed, have in these folders, and calls and reports of these
        bundles; nothing at all, not even a folder, is fine too. Where a trouble that passes is in
        the way, as too many open files, it is removed with the next ones.
        """
        starts = {f"{_stem(task)}{mark}" for task in tasks for mark in "-."} | self._late
        for ordinal in ordinals:
            starts |= {self.call_path(ordinal).name, self.report_path(ordinal).name}
        self._late |= starts
        try:
            for folder in (self.folder, self.inputs):
                if starts and folder.exists():
                    _remove_all(folder, tuple(starts))
        except OSError as exc:
            if not will_pass(exc):
                raise
        else:
            self._late -= starts


def _remove_all(folder: Path, starts: tuple[str, ...]) -> None:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(starts)]
    for name in names:
        _remove(folder / name)


def _remove(path: Path) -> None:
    """A file, whether it is there or not, or a folder that a child made in its place."""
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        shutil.rmtree(path, ignore_errors=True)


def bring_in_all(task: RenderTask, placed: RenderTask) -> None:
    """Bring in every file of a task, or none. Raises InputUnavailable."""
    try:
        for source, destination in zip(task.read_paths, placed.read_paths, strict=True):
            bring_in(source, destination)
        _check_size(task)
    except InputUnavailable:
        with suppress(OSError):
            remove_inputs(placed)
        raise


def _check_size(task: RenderTask) -> None:
    """Nobody is to blame for bytes that were lost here. Looks where no child can have removed
    anything. Raises InputUnavailable.
    """
    if task.input_bytes is None:
        return
    try:
        found_bytes = os.stat(task.input_path).st_size  # noqa: PTH116 - a Path costs more than the call
    except OSError as exc:
        raise _unavailable(task.input_path, exc) from exc
    if found_bytes != task.input_bytes:
        why = f"of {task.input_bytes} bytes {found_bytes} are there"
        failure = Failure(ImageErrorCode.INTERNAL, "The input file is not what was sent any more")
        raise InputUnavailable(failure, task.input_path, why)


def remove_inputs(placed: RenderTask) -> None:
    """Remove what was brought in, whether it is there or not."""
    for path in placed.read_paths:
        _remove(Path(path))


def bring_in(source: str, destination: str) -> None:
    """Hard-link `source`, or copy it where it cannot be linked: that also tells which of the two
    is in the way. Raises InputUnavailable.
    """
    try:
        # link(2) would link the symbolic link itself.
        os.link(os.path.realpath(source) if os.path.islink(source) else source, destination)  # noqa: PTH114 - a Path costs more than the call
    except OSError:
        _copy(source, destination)


def _copy(source: str, destination: str) -> None:
    try:
        shutil.copyfile(source, destination)
    except OSError as exc:
        if exc.filename == destination:  # it is the slot that cannot be written
            raise InputUnavailable(find_passing(exc) or NOT_NOW) from exc
        with suppress(OSError):
            Path(destination).unlink(missing_ok=True)
        raise _unavailable(source, exc) from exc


def find_passing(exc: OSError) -> Failure | None:
    """What an image waits for that met this trouble; None for one that may never pass, or the
    image would never end.
    """
    if is_disk_full(exc):
        return NO_SPACE
    return None if may_be_its_own(exc) else NOT_NOW


def _unavailable(source: str, exc: OSError) -> InputUnavailable:
    if passing := find_passing(exc):
        return InputUnavailable(passing)
    if isinstance(exc, FileNotFoundError):
        return InputUnavailable(_GONE)
    return InputUnavailable(_UNREADABLE, source, exc.strerror or str(exc))


def _stem(placed: RenderTask) -> str:
    return Path(placed.output_prefix).name
