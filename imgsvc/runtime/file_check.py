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


@dataclass(slots=True)
class FileCheck:
    """read: how many files. missing, changed: their paths, sorted; changed are also those that
    the disk does not give back.
    """

    read: int = 0
    size_bytes: int = 0
    missing: list[Path] = field(default_factory=list)
    changed: list[Path] = field(default_factory=list)


def check_files(data_dir: Path) -> FileCheck:
    """Beside a server that uses the folder, too. Blocking. Raises sqlite3.Error."""
    check, missing = FileCheck(), set()
    layout = Layout(data_dir)
    uri = f"{(data_dir / DATABASE).absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        for path, sha256, may_be_gone in _list_files(connection, layout):
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
            missing &= {path for path, _, gone in _list_files(connection, layout) if not gone}
    check.missing = sorted(missing)
    check.changed.sort()
    return check


def _list_files(connection: sqlite3.Connection, layout: Layout) -> Iterator[tuple[Path, str, bool]]:
    """Path and sha256 of each, and whether it may be gone: inputs of completed images may have
    been dropped, as storage.keep_inputs was.
    """
    for sha256 in read_watermark_files(connection):
        yield layout.watermark(sha256), sha256, False
    for image in read_image_files(connection):
        folder = layout.job(image.job_id)
        if image.input_sha256 is not None:
            yield folder.input(image.image_id), image.input_sha256, image.is_completed
        for variant, format_, sha256 in image.outputs:
            yield folder.output(image.image_id, image.claim, variant, format_), sha256, False
