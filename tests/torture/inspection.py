"""A look at a data folder from outside: do its rows agree with each other, and with the files?

Written against the schema and the layout of the folders alone; nothing of the program is asked.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

DATABASE = "imgsvc.db"

COUNTERS = """
SELECT jobs.id FROM jobs LEFT JOIN images ON images.job_id = jobs.id GROUP BY jobs.id
HAVING jobs.total <> count(images.idx)
    OR jobs.completed <> count(iif(images.state = 'completed', 1, NULL))
    OR jobs.failed <> count(iif(images.state = 'failed', 1, NULL))
    OR jobs.cancelled <> count(iif(images.state = 'cancelled', 1, NULL))
    OR jobs.unfetched <> count(
        iif(images.state IN ('pending', 'fetching') AND images.fetch_host IS NOT NULL
            AND images.sha256 IS NULL, 1, NULL))
    OR max(coalesce(images.idx, -1)) + 1 <> jobs.total
"""

Checked = set[tuple[str, str]]
"""Files whose content was compared already, with their digests: they never change."""


def inspect_killed(data_dir: Path, checked: Checked) -> list[str]:
    """What must never be, whenever the server dies; a line for each fault."""
    with _copied(data_dir) as database:
        return _check_database(database) + _check_files(database, data_dir, checked)


def inspect_recovered(data_dir: Path) -> list[str]:
    """What must not be left once a server has put right what it found."""
    with closing(_open(f"file:{data_dir / DATABASE}?mode=ro")) as database:
        return _check_nothing_runs(database) + _find_orphans(database, data_dir)


def inspect_stopped(data_dir: Path, checked: Checked) -> list[str]:
    """All of that, of a server that has stopped by itself."""
    with _copied(data_dir) as database:
        faults = _check_database(database) + _check_files(database, data_dir, checked)
        faults += _check_nothing_runs(database) + _find_orphans(database, data_dir)
    return faults + [f"orphan: {path}" for path in data_dir.glob("slots/*/*")]


def read_images(data_dir: Path) -> list[dict[str, Any]]:
    """All rows of images, each with the `label` and the `state` of its job, as `job_state`."""
    with _copied(data_dir) as database:
        rows = database.execute(
            "SELECT images.*, jobs.label, jobs.state AS job_state "
            "FROM jobs JOIN images ON images.job_id = jobs.id ORDER BY images.job_id, idx"
        )
        return [dict(row) for row in rows]


def read_jobs(data_dir: Path) -> list[dict[str, Any]]:
    with _copied(data_dir) as database:
        return [dict(row) for row in database.execute("SELECT * FROM jobs ORDER BY id")]


def read_outputs(image: Any) -> list[dict[str, Any]]:
    """The outputs that a row of images names."""
    names = ("variant", "format", "width", "height", "frames", "size_bytes", "sha256")
    return [dict(zip(names, values, strict=False)) for values in json.loads(image["outputs"])]


def output_name(image: Any, output: dict[str, Any]) -> str:
    extension = {"jpeg": "jpg"}.get(output["format"], output["format"])
    return f"{image['id']}-{image['claim']}-{output['variant']}.{extension}"


@contextmanager
def _copied(data_dir: Path) -> Iterator[sqlite3.Connection]:
    """The database as it lies there, log and all, without a touch on the original."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (DATABASE, f"{DATABASE}-wal"):
            if (data_dir / name).exists():
                shutil.copy(data_dir / name, folder)
        with closing(_open(f"file:{folder}/{DATABASE}")) as database:
            yield database


def _open(uri: str) -> sqlite3.Connection:
    database = sqlite3.connect(uri, uri=True)
    database.row_factory = sqlite3.Row
    return database


def _check_database(database: sqlite3.Connection) -> list[str]:
    (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        return [f"database: {verdict}"]
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'jobs'").fetchone():
        return []  # killed before it had tables
    faults = [f"database: {tuple(row)}" for row in database.execute("PRAGMA foreign_key_check")]
    return faults + [f"counters: {row['id']}" for row in database.execute(COUNTERS)]


def _check_files(database: sqlite3.Connection, data_dir: Path, checked: Checked) -> list[str]:
    """Files before rows: whatever a row names is there, whole."""
    faults = []
    for image in _images(database):
        folder = data_dir / "jobs" / image["job_id"]
        if image["sha256"] is not None and image["size_bytes"]:
            path = folder / "in" / image["id"]
            faults += _check_file(path, image["size_bytes"], image["sha256"], checked)
        for output in read_outputs(image):
            path = folder / "out" / output_name(image, output)
            faults += _check_file(path, output["size_bytes"], output["sha256"], checked)
    return faults


def _check_file(path: Path, size_bytes: int, sha256: str, checked: Checked) -> list[str]:
    try:
        is_right = path.stat().st_size == size_bytes
        if is_right and (str(path), sha256) not in checked:
            is_right = hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except FileNotFoundError:
        return [f"missing: {path}"]
    checked.add((str(path), sha256))
    return [] if is_right else [f"wrong: {path}"]


def _check_nothing_runs(database: sqlite3.Connection) -> list[str]:
    hidden = database.execute("SELECT id FROM jobs WHERE hidden = 1")
    running = database.execute(
        "SELECT job_id, idx, state FROM images WHERE state IN ('processing', 'fetching')"
    )
    return [f"hidden: {row['id']}" for row in hidden] + [f"running: {tuple(r)}" for r in running]


def _find_orphans(database: sqlite3.Connection, data_dir: Path) -> list[str]:
    """Every file and folder below `jobs` that no row names."""
    named = {row["id"] for row in database.execute("SELECT id FROM jobs")}
    for image in _images(database):
        named.add(f"{image['job_id']}/in/{image['id']}")
        for output in read_outputs(image):
            named.add(f"{image['job_id']}/out/{output_name(image, output)}")
    jobs = data_dir / "jobs"
    found = {path.name for path in jobs.iterdir()}
    found |= {str(path.relative_to(jobs)) for path in jobs.glob("*/*/*")}
    return [f"orphan: {name}" for name in sorted(found - named)]


def _images(database: sqlite3.Connection) -> list[sqlite3.Row]:
    if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'images'").fetchone():
        return []
    return database.execute("SELECT * FROM images").fetchall()
