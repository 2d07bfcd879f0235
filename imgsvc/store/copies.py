"""What a copy of the database says of files: read after the copy, at leisure."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The files that one image's row names. outputs: variant and format of each."""

    job_id: str
    image_id: str
    claim: int
    has_input: bool
    outputs: tuple[tuple[str, str], ...]


def read_job_ids(database: Path) -> list[str]:
    """Every job, hidden ones among them. Blocking."""
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM jobs")]


def read_watermark_files(database: Path) -> list[str]:
    """The contents (sha256) of all watermarks. Blocking."""
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT sha256 FROM watermark_files")]


def read_image_files(database: Path) -> Iterator[ImageFiles]:
    """Of every image, job by job. Blocking."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT job_id, id, claim, sha256 IS NOT NULL, outputs FROM images"
        )
        for job_id, image_id, claim, has_input, outputs in rows:
            named = tuple((facts[0], facts[1]) for facts in json.loads(outputs))
            yield ImageFiles(job_id, image_id, claim, bool(has_input), named)
