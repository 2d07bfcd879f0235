"""Where files stand in the data folder: ids and numbers, never what a client sent."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from imgsvc.domain.ids import is_id, new_id
from imgsvc.domain.rendering import output_path
from imgsvc.errors import StartError
from imgsvc.files.slot_names import is_slot

_SHA256 = re.compile(r"[0-9a-f]{64}")
_WATERMARK = ".png"


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The folder of one job, with `in` for what was received and `out` for what was made."""

    path: Path

    @property
    def inputs(self) -> Path:
        return self.path / "in"

    @property
    def outputs(self) -> Path:
        return self.path / "out"

    def input(self, image_id: str) -> Path:
        return self.inputs / checked_id(image_id)

    def output(self, image_id: str, claim: int, variant: str, format_: str) -> Path:
        return self.outputs / output_name(image_id, claim, variant, format_)


@dataclass(frozen=True, slots=True)
class Layout:
    data_dir: Path

    @property
    def jobs(self) -> Path:
        return self.data_dir / "jobs"

    @property
    def slots(self) -> Path:
        return self.data_dir / "slots"

    @property
    def watermarks(self) -> Path:
        return self.data_dir / "watermarks"

    @property
    def ballast(self) -> Path:
        """A file of nothing, to be removed when space is short."""
        return self.data_dir / "ballast"

    def watermark(self, sha256: str) -> Path:
        """Raises ValueError for anything not spelled as a digest."""
        if not _SHA256.fullmatch(sha256):
            raise ValueError("not a digest")
        return self.watermarks / f"{sha256}{_WATERMARK}"

    def job(self, job_id: str) -> JobFolder:
        """Raises ValueError for anything not spelled as an id: no way out of the folder."""
        return JobFolder(self.jobs / checked_id(job_id))

    def new_deleted_folder(self) -> Path:
        """Where a job folder is moved before its files are removed, one by one."""
        return self.jobs / f"{DELETED}{new_id()}"

    def new_backup_folder(self) -> Path:
        """Where links to all files stand while they are read for a backup."""
        return self.data_dir / f"{_BACKUP}{new_id()}"

    def leftovers(self) -> list[Path]:
        """Of the last two kinds, what a crash has left behind. Blocking."""
        return [
            path
            for parent, prefix in ((self.jobs, DELETED), (self.data_dir, _BACKUP))
            for path in parent.glob(f"{prefix}*")
            if is_id(path.name.removeprefix(prefix))
        ]


DELETED = "deleted-"
_BACKUP = "backup-"


def is_watermark(name: str) -> bool:
    """Whether a file of this name is one that the server put among its watermarks."""
    return name.endswith(_WATERMARK) and bool(_SHA256.fullmatch(name.removesuffix(_WATERMARK)))


def check_layout(layout: Layout) -> None:
    """Whether folders that this user may use stand where folders belong, or nothing, yet. Raises
    StartError. Blocking.
    """
    slots = layout.slots
    if slots.is_symlink():
        raise StartError(
            f"{slots} is a link, and has to be a folder on the disk of {layout.data_dir}. Remove "
            "the link, and start again."
        )
    own = (path for path in slots.glob("*/") if is_slot(path.name))
    for folder in (layout.jobs, layout.watermarks, slots, *own):
        _check_folder(folder)


def _check_folder(path: Path) -> None:
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        if path.is_symlink():
            raise StartError(
                f"{path} is a link to {path.readlink()}, which is not there. Mount its disk, or "
                "correct the link, and start again."
            ) from None
        return
    except OSError as exc:
        raise StartError(
            f"{path} cannot be used: {exc.strerror}. See whether its disk is mounted, and this "
            "user may read and write there."
        ) from exc
    if not is_folder:
        raise StartError(
            f"{path} is a file, and has to be a folder. Move it away, and start again."
        )
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise StartError(
            f"The folder {path} is closed to this user. Give the right to read and write it and "
            "all that is in it, or see whether its disk is mounted read-only, and start again."
        )


def output_name(image_id: str, claim: int, variant: str, format_: str) -> str:
    """File name of one output. The claim makes a late or doubled result harmless."""
    return output_path(f"{checked_id(image_id)}-{claim}", variant, format_)


def checked_id(text: str) -> str:
    if not is_id(text):
        raise ValueError("not an id")
    return text
