"""Whether the files of a data folder are those that its database knows: every byte is read."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from imgsvc.blobs.layout import Layout
from imgsvc.service.backup import DATABASE
from imgsvc.store.copies import read_image_files, read_watermark_files
from imgsvc.store.examination import open_untouched


@dataclass(slots=True)
class FileCheck:
    """read: how many files. missing, changed: their paths, sorted; changed are also those that
    the disk does not give back.
    """

    read: int = 0
    size_bytes: int = 0
    missing: list[Path] = field(default_factory=list)
    changed: list[Path] = field(default_factory=list)


def check_files(data_dir: Path, *, keep_inputs: bool = True) -> FileCheck:
    """Beside a server that uses the folder, too. Blocking. Raises sqlite3.Error.

    keep_inputs: False when inputs of completed images are dropped.
    """
    check, missing = FileCheck(), set()
    layout = Layout(data_dir)
    with closing(open_untouched((data_dir / DATABASE).absolute())) as connection:
        for path, sha256, may_be_gone in _list_files(connection, layout, keep_inputs):
            try:
                with path.open("rb") as file:
                    is_same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
                    check.size_bytes += file.tell()
            except FileNotFoundError:
                if not may_be_gone:
                    missing.add(path)
                continue
            except OSError:
                is_same = False
            check.read += 1
            if not is_same:
                check.changed.append(path)
        if missing:  # a server may have removed them together with their rows
            listed = _list_files(connection, layout, keep_inputs)
            missing &= {path for path, _, may_be_gone in listed if not may_be_gone}
    check.missing = sorted(missing)
    check.changed.sort()
    return check


def _list_files(
    connection: sqlite3.Connection, layout: Layout, keep_inputs: bool
) -> Iterator[tuple[Path, str, bool]]:
    """Path and sha256 of each, and whether it may be gone."""
    for sha256 in read_watermark_files(connection):
        yield layout.watermark(sha256), sha256, False
    for image in read_image_files(connection):
        folder = layout.job(image.job_id)
        if image.input_sha256 is not None:
            may_be_gone = image.is_completed and not keep_inputs
            yield folder.input(image.image_id), image.input_sha256, may_be_gone
        for variant, format_, sha256 in image.outputs:
            yield folder.output(image.image_id, image.claim, variant, format_), sha256, False
