"""A second data folder made of links to the files of the first."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from imgsvc.blobs.disk import naming_full_disk
from imgsvc.blobs.layout import JobFolder, Layout
from imgsvc.files.errnos import is_disk_full


class LinkFolder:
    """All methods block. A file that is gone is passed over, and False returned; where the file
    system has no hard links it is copied. Raises StorageFull.
    """

    def __init__(self, source: Layout, target: Layout) -> None:
        self._source = source
        self._target = target
        self._made: set[str] = set()

    def add_job(self, job_id: str) -> None:
        self._folder(job_id)

    def add_input(self, job_id: str, image_id: str) -> bool:
        return _link(self._source.job(job_id).input(image_id), self._folder(job_id).input(image_id))

    def add_output(
        self, job_id: str, image_id: str, claim: int, variant: str, format_: str
    ) -> bool:
        name = (image_id, claim, variant, format_)
        return _link(self._source.job(job_id).output(*name), self._folder(job_id).output(*name))

    def add_watermark(self, sha256: str) -> bool:
        with naming_full_disk():
            self._target.watermarks.mkdir(mode=0o750, exist_ok=True)
        return _link(self._source.watermark(sha256), self._target.watermark(sha256))

    def _folder(self, job_id: str) -> JobFolder:
        folder = self._target.job(job_id)
        if job_id not in self._made:
            with naming_full_disk():
                for path in (self._target.jobs, folder.path, folder.inputs, folder.outputs):
                    path.mkdir(mode=0o750, exist_ok=True)
            self._made.add(job_id)
        return folder


def _link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False
    except OSError as exc:
        with naming_full_disk():
            if is_disk_full(exc):
                raise
            shutil.copy2(source, target)
    return True
