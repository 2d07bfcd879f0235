"""What a database says of files: also read beside the store, and at leisure."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from imgsvc.store.rows import dump_json
from imgsvc.store.sql import IMAGES


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The files that one image's row names. input_sha256: None without an input of its own.
    outputs: variant, format and sha256 of each.
    """

    job_id: str
    image_id: str
    claim: int
    is_completed: bool
    input_sha256: str | None
    outputs: tuple[tuple[str, str, str], ...]


def read_job_ids(connection: sqlite3.Connection) -> list[str]:
    """Every job, hidden ones among them. Blocking."""
    return [row[0] for row in connection.execute("SELECT id FROM jobs")]


def read_watermark_files(connection: sqlite3.Connection) -> list[str]:
    """The contents (sha256) of all watermarks. Blocking."""
    return [row[0] for row in connection.execute("SELECT sha256 FROM watermark_files")]


def read_image_files(connection: sqlite3.Connection) -> Iterator[ImageFiles]:
    """Of every image, job by job, and holding up nobody in between. Blocking."""
    for job_id in read_job_ids(connection):
        rows = connection.execute(IMAGES["image_files"], {"job_ids": dump_json([job_id])})
        yield from map(files_from_row, rows.fetchall())


def files_from_row(row: Sequence[Any]) -> ImageFiles:
    """row: as of the statement `image_files`."""
    job_id, image_id, claim, is_completed, sha256, outputs = row
    named = tuple((output[0], output[1], output[6]) for output in json.loads(outputs))
    return ImageFiles(job_id, image_id, claim, bool(is_completed), sha256, named)
